r"""Classifiers of torchvision, timm and transformers with random weights as given backbones, at 64 pixels.

    python -m benchmarks.library_backbones --out benchmarks/results/backbones/libraries.csv

For each model: its exit points; whether the MACs of its pieces, counted as they run one after another, are those of the
points; the largest difference between the logits of the pieces and of the model, relative to the largest logit; and one
estimate of a random network with exits, on untrained branches and random images. Models that are in the file, and those
of libraries that are not installed, are left out. A model without points gets the message that users get.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from aebnas_bo.backbones.factories import BackboneInput, create_backbone
from aebnas_bo.backbones.pieces import given_pieces
from aebnas_bo.config.loading import load_config
from aebnas_bo.data.images import LabelledImages
from aebnas_bo.data.splits import Splits
from aebnas_bo.errors import ConfigError
from aebnas_bo.execution.cpu import set_up_cpu
from aebnas_bo.preparation.problem import Problem
from aebnas_bo.preparation.supernet_preparation import fresh_supernet, make_estimator
from aebnas_bo.space.given_backbone import BackboneSource
from benchmarks.records import appending_rows, output_file, read_rows

SIDE, CLASSES, IMAGES = 64, 10, 24
SEED = 3
MODELS: tuple[tuple[BackboneSource, str], ...] = (
    ("torchvision", "mobilenet_v3_small"),
    ("torchvision", "resnet18"),
    ("torchvision", "efficientnet_b0"),
    ("torchvision", "vit_b_16"),
    ("torchvision", "densenet121"),
    ("timm", "convnext_atto"),
    ("timm", "regnetx_002"),
    ("timm", "repvgg_a0"),
    ("timm", "swin_tiny_patch4_window7_224"),
    ("timm", "deit_tiny_patch16_224"),
    ("transformers", "ViT"),
)
HEADER = (
    "source", "name", "points", "million_macs", "are_macs_exact", "difference", "accuracy", "average_macs", "seconds",
    "message",
)  # fmt: skip


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="*", default=[], help="names of models")
    parser.add_argument("--out", type=output_file, required=True)
    given = parser.parse_args()
    set_up_cpu(1)
    known = {(row["source"], row["name"]) for row in read_rows(given.out)}
    with appending_rows(given.out, HEADER) as append:
        for source, name in MODELS:
            is_installed = source == "torchvision" or importlib.util.find_spec(source) is not None
            if (source, name) in known or not is_installed or (given.only and name not in given.only):
                continue
            started = time.perf_counter()
            row = [source, name, *tried(source, name)]
            row.insert(-1, round(time.perf_counter() - started, 1))
            append(row)
            sys.stdout.write(f"{row}\n")


def tried(source: BackboneSource, name: str) -> list[object]:
    """Return the figures of a model, or the message if it cannot be used."""
    with tempfile.TemporaryDirectory() as folder:
        path = transformers_model(Path(folder)) if source == "transformers" else name
        try:
            return figures(source, path, Path(folder) / "weights.safetensors")
        except ConfigError as error:
            return [0, "", "", "", "", "", str(error)]


def figures(source: BackboneSource, name: str, weights: Path) -> list[object]:
    """Return points, MACs and an estimate of a model with random weights.

    Args:
        source: Library.
        name: Model.
        weights: File for its weights.

    Raises:
        ConfigError: If it cannot be a given backbone.
    """
    model = random_model(source, name, weights)
    declared = {"source": source, "name": name, "weights": str(weights)}
    config = load_config(None, [f"space={json.dumps({'backbone': declared})}"])
    problem = Problem.of(config, random_splits())
    given = problem.space.skeleton.given
    assert given is not None
    pieces = given_pieces(given)
    load_pieces(pieces, model)
    images = torch.randn(2, 3, SIDE, SIDE)
    features, reached = images, []
    with torch.no_grad():
        for piece in pieces:
            with FlopCounterMode(display=False) as counter:
                features = piece(features)
            reached.append(counter.get_total_flops() // (2 * len(images)) + (reached[-1] if reached else 0))
        expected = model(images)
    difference = float((features - expected).abs().max() / expected.abs().max())
    is_exact = reached == [*(point.macs for point in given.points), given.macs]
    estimator = make_estimator(problem, fresh_supernet(problem), None)
    space = problem.space.search_space
    estimate = estimator.estimate(space.sample(np.random.default_rng(1)))
    return [
        len(given.points), given.macs / 1e6, is_exact, f"{difference:.1e}", round(estimate.metrics["accuracy"].mean, 1),
        estimate.metrics["average_macs"].mean, "",
    ]  # fmt: skip


def random_model(source: BackboneSource, name: str, weights: Path) -> nn.Module:
    """Create a model with random weights and write them to a file; classifiers of zeros get random weights too."""
    torch.manual_seed(SEED)
    model = create_backbone(source, name, BackboneInput(3, CLASSES, SIDE))
    for one in model.parameters():
        if one.ndim > 1 and not bool(one.any()):
            nn.init.normal_(one, std=0.02)
    save_file({key: one.contiguous().clone() for key, one in model.state_dict().items()}, weights)
    return model


def load_pieces(pieces: list[torch.fx.GraphModule], model: nn.Module) -> None:
    """Copy the weights of a model into its pieces."""
    state = model.state_dict()
    for piece in pieces:
        piece.load_state_dict({name: one for name, one in state.items() if name in piece.state_dict()}, strict=False)


def random_splits() -> Splits:
    """Return splits of random images."""
    generator = torch.Generator().manual_seed(0)

    def some() -> LabelledImages:
        images = torch.randint(256, (IMAGES, 3, SIDE, SIDE), dtype=torch.uint8, generator=generator)
        return LabelledImages(images, torch.arange(IMAGES) % CLASSES)

    names = tuple(str(number) for number in range(CLASSES))
    return Splits(some(), some(), some(), some(), names, mean=(0.5,) * 3, std=(0.25,) * 3)


def transformers_model(folder: Path) -> str:
    """Write the configuration of a small ViT, and return its folder."""
    transformers = importlib.import_module("transformers")
    config = transformers.ViTConfig(
        hidden_size=64, num_hidden_layers=4, num_attention_heads=4, intermediate_size=128, image_size=SIDE, patch_size=8
    )
    config.architectures = ["ViTForImageClassification"]
    config.save_pretrained(folder)
    return str(folder)


if __name__ == "__main__":
    main()
