"""Training the supernet once: sandwich rule and in-place distillation, resumable to the bit.

Sources: sandwich rule and in-place distillation, BigNAS (Yu et al., ECCV 2020), sections 3.1 and 3.2.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from aebnas_bo.config import SupernetConfig
from aebnas_bo.errors import TrainingDivergedError
from aebnas_bo.seeding import numpy_generator, torch_generator
from aebnas_bo.space.architecture import Architecture
from aebnas_bo.space.network_space import Extreme
from aebnas_bo.supernet.checkpoint import check_fit, load_tensors, save_tensors
from aebnas_bo.supernet.supernet import Supernet

logger = logging.getLogger(__name__)

CHECKPOINT_SECONDS = 2.0  # at most so often; an epoch of a tiny supernet takes less than writing it
ROLLBACK_FACTOR = 0.5  # the learning rate after a roll-back, relative to before

SampleArchitecture = Callable[[Extreme, np.random.Generator], Architecture]
Augment = Callable[[Tensor, torch.Generator], Tensor]


@dataclass(frozen=True)
class EpochReport:
    """What one epoch came to.

    Args:
        epoch: Epochs finished.
        epochs: Epochs in all.
        loss: Mean loss of the largest network over the epoch.
        learning_rate: Learning rate of its last step.
        images_per_s: Images per second, summed over the sub-networks of a step.
        rollbacks: Roll-backs so far.
    """

    epoch: int
    epochs: int
    loss: float
    learning_rate: float
    images_per_s: float
    rollbacks: int


@dataclass(frozen=True)
class _Progress:
    """Where training stands at the start of an epoch."""

    epoch: int = 0
    rollbacks: int = 0

    @property
    def rate_factor(self) -> float:
        return ROLLBACK_FACTOR**self.rollbacks


class _NonFiniteLossError(Exception):
    pass


@dataclass(frozen=True)
class TrainingTask:
    """Everything training needs beside the supernet and its settings.

    Args:
        images: Normalised training images, `N x C x H x W`, float32.
        labels: Their classes, `N`.
        sample_architecture: Draws the largest, the smallest or a random network, all exits present.
        augment: Transforms a batch.
        seed: The run's seed.
    """

    images: Tensor
    labels: Tensor
    sample_architecture: SampleArchitecture
    augment: Augment
    seed: int


def train_supernet(
    supernet: Supernet,
    task: TrainingTask,
    config: SupernetConfig,
    on_epoch: Callable[[EpochReport], None],
    checkpoint: Path | None,
    fingerprint: str,
) -> None:
    """Train a supernet in place.

    Every epoch draws its batches and architectures from a stream named by its number, so training that was
    interrupted and taken up from its checkpoint ends with the same weights as training that was not.

    Args:
        supernet: Fresh supernet, changed in place.
        task: Images and how to draw networks.
        config: Settings.
        on_epoch: Called after every epoch.
        checkpoint: File to resume from and to write to; `None` for no checkpoints.
        fingerprint: Identifies the configuration in the checkpoint.

    Raises:
        TrainingDivergedError: If the loss stays non-finite through all allowed roll-backs.
        CorruptStateError: If the checkpoint is damaged or belongs to another configuration.
    """
    optimizer = _optimizer(supernet, config)
    progress = _Progress()
    if checkpoint is not None and checkpoint.exists():
        progress = _restore(checkpoint, fingerprint, supernet, optimizer)
        logger.info("supernet training resumes after epoch %d", progress.epoch)
    last_write = time.monotonic()
    while progress.epoch < config.epochs:
        good = _snapshot(supernet, optimizer)
        try:
            report = _train_epoch(supernet, optimizer, task, config, progress)
        except _NonFiniteLossError as error:
            _load(good, supernet, optimizer)
            progress = _roll_back(progress, config, str(error))
            continue
        progress = replace(progress, epoch=progress.epoch + 1)
        is_last = progress.epoch == config.epochs
        if checkpoint is not None and (is_last or time.monotonic() - last_write >= CHECKPOINT_SECONDS):
            metadata = {
                "fingerprint": fingerprint,
                "epoch": str(progress.epoch),
                "rollbacks": str(progress.rollbacks),
            }
            save_tensors(checkpoint, _snapshot(supernet, optimizer), metadata)
            last_write = time.monotonic()
        on_epoch(report)


def _train_epoch(
    supernet: Supernet,
    optimizer: torch.optim.SGD,
    task: TrainingTask,
    config: SupernetConfig,
    progress: _Progress,
) -> EpochReport:
    name = ("supernet", "epoch", progress.epoch, "rollback", progress.rollbacks)
    generator = torch_generator(task.seed, *name, "images")
    draws = numpy_generator(task.seed, *name, "architectures")
    batches = list(_batches(len(task.images), config.batch_size, generator))
    total_loss, started, rate = 0.0, time.perf_counter(), 0.0
    for step, indices in enumerate(batches):
        rate = progress.rate_factor * _learning_rate(progress.epoch + step / len(batches), config)
        for group in optimizer.param_groups:
            group["lr"] = rate
        images = task.augment(task.images[indices], generator)
        total_loss += _train_step(supernet, optimizer, images, task.labels[indices], task, config, draws)
    num_images = sum(len(indices) for indices in batches) * (2 + config.random_subnets)
    return EpochReport(
        epoch=progress.epoch + 1,
        epochs=config.epochs,
        loss=total_loss / len(batches),
        learning_rate=rate,
        images_per_s=num_images / (time.perf_counter() - started),
        rollbacks=progress.rollbacks,
    )


def _train_step(
    supernet: Supernet,
    optimizer: torch.optim.SGD,
    images: Tensor,
    labels: Tensor,
    task: TrainingTask,
    config: SupernetConfig,
    draws: np.random.Generator,
) -> float:
    """Take one step on the largest, the smallest and some random networks; return the largest one's loss."""
    random: list[Extreme] = ["random"] * config.random_subnets
    kinds: list[Extreme] = ["largest", "smallest", *random]
    optimizer.zero_grad(set_to_none=True)
    soft_labels: Tensor | None = None
    first_loss = math.nan
    for kind in kinds:
        outputs = supernet(images, task.sample_architecture(kind, draws))
        losses = [
            F.cross_entropy(logits, labels, label_smoothing=config.label_smoothing)
            if soft_labels is None
            else F.cross_entropy(logits, soft_labels)
            for logits in outputs
        ]
        loss = torch.stack(losses).mean()
        if kind == "largest":
            first_loss = float(loss.detach())
            if config.distillation:
                soft_labels = outputs[-1].detach().softmax(dim=-1)
        (loss / len(kinds)).backward()  # type: ignore[no-untyped-call]
    norm = torch.nn.utils.clip_grad_norm_(supernet.parameters(), config.gradient_clip)
    if not (math.isfinite(first_loss) and math.isfinite(float(norm))):
        raise _NonFiniteLossError(f"loss {first_loss}, gradient norm {float(norm)}")
    optimizer.step()
    return first_loss


def _batches(num_images: int, batch_size: int, generator: torch.Generator) -> Iterator[Tensor]:
    """Yield shuffled index batches of equal size; an incomplete one is dropped unless it is the only one."""
    order = torch.randperm(num_images, generator=generator)
    full = order[: num_images - num_images % batch_size]
    yield from torch.split(full, batch_size) if len(full) else [order]


def _learning_rate(epoch: float, config: SupernetConfig) -> float:
    """Return the rate of linear warm-up, then a half cosine to zero."""
    warmup = min(config.warmup_epochs, config.epochs / 2)
    if epoch < warmup:
        return config.learning_rate * (epoch + 1e-2) / warmup
    share = (epoch - warmup) / (config.epochs - warmup)
    return config.learning_rate * 0.5 * (1.0 + math.cos(math.pi * share))


def _optimizer(supernet: Supernet, config: SupernetConfig) -> torch.optim.SGD:
    weights = [parameter for parameter in supernet.parameters() if parameter.ndim > 1]
    others = [parameter for parameter in supernet.parameters() if parameter.ndim <= 1]
    return torch.optim.SGD(
        [{"params": weights, "weight_decay": config.weight_decay}, {"params": others, "weight_decay": 0.0}],
        lr=config.learning_rate,
        momentum=config.momentum,
        nesterov=config.momentum > 0,
    )


def _roll_back(progress: _Progress, config: SupernetConfig, diagnosis: str) -> _Progress:
    rate = config.learning_rate * progress.rate_factor
    if progress.rollbacks >= config.max_rollbacks:
        raise TrainingDivergedError(
            f"supernet training diverged in epoch {progress.epoch + 1} ({diagnosis}) after "
            f"{progress.rollbacks} roll-backs, last at a peak learning rate of {rate:g}; lower "
            "supernet.learning_rate or "
            "supernet.gradient_clip, or check the images for extreme values"
        )
    logger.warning("epoch %d: %s; rolled back, learning rate halved", progress.epoch + 1, diagnosis)
    return replace(progress, rollbacks=progress.rollbacks + 1)


def _snapshot(supernet: Supernet, optimizer: torch.optim.SGD) -> dict[str, Tensor]:
    """Return copies of all weights and momentum buffers by name."""
    tensors = {f"weight.{name}": tensor.detach().clone() for name, tensor in supernet.named_parameters()}
    for name, parameter in supernet.named_parameters():
        momentum = optimizer.state[parameter].get("momentum_buffer")
        if momentum is not None:
            tensors[f"momentum.{name}"] = momentum.clone()
    return tensors


@torch.no_grad()
def _load(tensors: dict[str, Tensor], supernet: Supernet, optimizer: torch.optim.SGD) -> None:
    for name, parameter in supernet.named_parameters():
        parameter.copy_(tensors[f"weight.{name}"])
        optimizer.state[parameter].clear()
        if f"momentum.{name}" in tensors:
            optimizer.state[parameter]["momentum_buffer"] = tensors[f"momentum.{name}"].to(parameter).clone()


def _restore(path: Path, fingerprint: str, supernet: Supernet, optimizer: torch.optim.SGD) -> _Progress:
    tensors, metadata = load_tensors(path, fingerprint)
    parameters = dict(supernet.named_parameters())
    expected = {f"weight.{name}": parameter for name, parameter in parameters.items()}
    momenta = {f"momentum.{name}": parameter for name, parameter in parameters.items()}
    # a weight that no step has used yet has no momentum
    expected |= {name: parameter for name, parameter in momenta.items() if name in tensors}
    check_fit(path, tensors, expected)
    _load(tensors, supernet, optimizer)
    return _Progress(epoch=int(metadata["epoch"]), rollbacks=int(metadata["rollbacks"]))
