r"""Train a classifier without exits on the training images of a study, as a user has one: a state dict in safetensors.

    python -m benchmarks.train_backbone benchmarks.backbone_networks:resnet20 configs/backbones/cifar10.yaml \
        --epochs 10 --out runs/backbones/resnet20.safetensors

The network never sees the images that the study keeps for the search. `--optimizer adamw` suits transformers. The same
command continues an interrupted training after its last epoch. A `.json` file next to `--out` has the accuracy on the
validation images, the seconds and the epochs.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import Tensor, nn

from aebnas_bo.backbones.factories import BackboneInput, create_backbone
from aebnas_bo.config.loading import load_config
from aebnas_bo.config.schema import Config
from aebnas_bo.data.augmentation import Augmentation
from aebnas_bo.data.datasets import load_splits
from aebnas_bo.data.images import LabelledImages
from aebnas_bo.data.splits import Splits
from aebnas_bo.data.transforms import normalize
from aebnas_bo.execution.cpu import set_up_cpu
from aebnas_bo.seeding import torch_generator

BATCH_SIZE, TEST_BATCH = 64, 500
PEAK_RATES = {"sgd": 0.1, "adamw": 1.5e-3}
MOMENTUM, SGD_DECAY, ADAMW_DECAY = 0.9, 5e-4, 0.05
WARM_UP = 0.1  # of all steps
LABEL_SMOOTHING = 0.05
GRADIENT_NORM = 5.0


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name", metavar="PACKAGE.MODULE:FACTORY")
    parser.add_argument("config", type=Path)
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--optimizer", choices=sorted(PEAK_RATES), default="sgd")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()
    set_up_cpu(1)
    config = load_config(given.config)
    splits = load_splits(config.data)
    torch.manual_seed(given.seed)
    shape = BackboneInput(splits.in_channels, splits.num_classes, splits.image_size)
    network = create_backbone("module", given.name, shape).to(memory_format=torch.channels_last)
    given.out.parent.mkdir(parents=True, exist_ok=True)
    seconds = train(network, splits, config, given)
    figures = {
        "name": given.name,
        "epochs": given.epochs,
        "seconds": round(seconds),
        "validation_accuracy": accuracy(network, splits.validation, splits),
    }
    save_file({name: one.contiguous() for name, one in network.state_dict().items()}, given.out)
    given.out.with_suffix(".json").write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
    given.out.with_suffix(".checkpoint").unlink(missing_ok=True)
    sys.stdout.write(f"{json.dumps(figures)}\n")


def train(network: nn.Module, splits: Splits, config: Config, given: argparse.Namespace) -> float:
    """Train a network in place, with a checkpoint after every epoch; return the seconds of all epochs."""
    peak = PEAK_RATES[given.optimizer]
    optimizer: torch.optim.Optimizer
    if given.optimizer == "sgd":
        optimizer = torch.optim.SGD(
            network.parameters(), peak, momentum=MOMENTUM, nesterov=True, weight_decay=SGD_DECAY
        )
    else:
        optimizer = torch.optim.AdamW(network.parameters(), peak, weight_decay=ADAMW_DECAY)
    images, labels = splits.train.images, splits.train.labels
    steps = len(images) // BATCH_SIZE
    augment, checkpoint = Augmentation.of(config.augmentation, splits), given.out.with_suffix(".checkpoint")
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, peak, total_steps=given.epochs * steps + 1, pct_start=WARM_UP, cycle_momentum=False
    )
    state = {"network": network, "optimizer": optimizer, "schedule": schedule}
    done, seconds = 0, 0.0
    if checkpoint.exists():
        stored = torch.load(checkpoint, weights_only=True)
        done, seconds = stored["epoch"], stored["seconds"]
        for name, one in state.items():
            one.load_state_dict(stored[name])
    for epoch in range(done, given.epochs):
        started, total = time.monotonic(), 0.0
        generator = torch_generator(given.seed, given.name, str(epoch))
        network.train()
        for indices in torch.randperm(len(images), generator=generator)[: steps * BATCH_SIZE].split(BATCH_SIZE):
            batch, targets = augment(images[indices], labels[indices], generator)
            loss = F.cross_entropy(
                network(batch.contiguous(memory_format=torch.channels_last)), targets, label_smoothing=LABEL_SMOOTHING
            )
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            nn.utils.clip_grad_norm_(network.parameters(), GRADIENT_NORM)
            optimizer.step()
            schedule.step()
            total += float(loss.detach())
        seconds += time.monotonic() - started
        torch.save(
            {"epoch": epoch + 1, "seconds": seconds, **{name: one.state_dict() for name, one in state.items()}},
            checkpoint.with_suffix(".part"),
        )
        checkpoint.with_suffix(".part").replace(checkpoint)
        sys.stderr.write(f"epoch {epoch + 1} of {given.epochs}: loss {total / steps:.3f}, {seconds:.0f} s\n")
    return seconds


@torch.no_grad()
def accuracy(network: nn.Module, images: LabelledImages, splits: Splits) -> float:
    """Return the percentage of images that a network classifies correctly."""
    network.eval()
    right: list[Tensor] = []
    for pixels, labels in zip(images.images.split(TEST_BATCH), images.labels.split(TEST_BATCH), strict=True):
        predictions = network(normalize(pixels, splits.mean, splits.std, device="cpu")).argmax(dim=1)
        right.append(predictions == labels)
    return round(100.0 * float(torch.cat(right).double().mean()), 3)


if __name__ == "__main__":
    main()
