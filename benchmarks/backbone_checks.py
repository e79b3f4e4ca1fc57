r"""Checks of a study on a given backbone: MACs against a network that counts, and ONNX files against PyTorch.

    python -m benchmarks.backbone_checks macs configs/backbones/cifar10.yaml --settings 50
    python -m benchmarks.backbone_checks onnx runs/resnet20/trained/KEY-seed0/network.safetensors \
        configs/backbones/cifar10.yaml

`macs` draws networks of the space with random branches and thresholds. For each it runs images of the validation split
step by step, as exported networks do, counts the operations of convolutions, linear layers and attention
(`torch.utils.flop_counter`), and compares the count with the MACs that the exit of every image is charged. Weights are
those of the configuration, or random ones. `onnx` exports a trained network in all ONNX formats and compares label and
exit of every test image with PyTorch's.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from aebnas_bo.backbones.pieces import cut_at, given_pieces
from aebnas_bo.config.loading import load_config
from aebnas_bo.data.transforms import normalize
from aebnas_bo.deploy.export import export_network
from aebnas_bo.deploy.runtime import load
from aebnas_bo.early_exit.confidence import confidence
from aebnas_bo.execution.cpu import set_up_cpu
from aebnas_bo.preparation.backbone_loading import traced_backbone
from aebnas_bo.preparation.problem import Problem
from aebnas_bo.space.macs import exit_costs
from aebnas_bo.supernet.given_subnet import GivenSubnet
from aebnas_bo.supernet.subnet import resize

FORMATS = ("onnx", "onnx-segments")


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    macs = commands.add_parser("macs")
    macs.add_argument("config", type=Path)
    macs.add_argument("--settings", type=int, default=50)
    macs.add_argument("--images", type=int, default=32)
    onnx = commands.add_parser("onnx")
    onnx.add_argument("network", type=Path)
    onnx.add_argument("config", type=Path)
    onnx.add_argument("--images", type=int, default=None)
    for one in (macs, onnx):
        one.add_argument("--set", dest="settings_of_config", action="append", default=[])
    given = parser.parse_args()
    set_up_cpu(1)
    problem = Problem.load(load_config(given.config, given.settings_of_config))
    if given.command == "macs":
        wrong = check_macs(problem, given.settings, given.images)
        sys.stdout.write(f"{given.settings} settings on {given.images} images: {wrong} with other MACs\n")
    else:
        wrong = check_onnx(given.network, problem.splits.test.images[: given.images])
    sys.exit(1 if wrong else 0)


def check_macs(problem: Problem, num_settings: int, num_images: int) -> int:
    """Return how many of some random settings cost other MACs than they are charged; print those."""
    space, splits = problem.space, problem.splits
    given, declared = space.skeleton.given, space.declaration.backbone
    assert given is not None
    assert declared is not None
    if declared.weights is None:
        pieces = given_pieces(given)
    else:
        pieces = cut_at(traced_backbone(declared, "cpu"), [point.name for point in given.points])
    images = normalize(splits.validation.images[:num_images], splits.mean, splits.std, device="cpu")
    generator, wrong = np.random.default_rng(0), 0
    for number in range(num_settings):
        point = space.search_space.sample(generator)
        architecture = space.architecture(point)
        torch.manual_seed(number)
        subnet = GivenSubnet(architecture, space.skeleton, pieces).eval()
        # thresholds among confidences of untrained branches, so that images leave everywhere
        thresholds = [float(one) for one in 0.3 * generator.random(len(architecture.active_exits))]
        executed, charged = counted(subnet, images, thresholds)
        if executed != charged:
            wrong += 1
            sys.stdout.write(f"{architecture.key}: {executed} MACs run, {charged} charged\n")
    return wrong


@torch.no_grad()
def counted(subnet: GivenSubnet, images: Tensor, thresholds: list[float]) -> tuple[int, int]:
    """Return the MACs that are run for images which leave at the first confident exit, and those they are charged.

    Args:
        subnet: The network.
        images: `B x C x S x S`, normalised.
        thresholds: One per active exit.
    """
    costs = exit_costs(subnet.architecture, subnet.skeleton).cumulative
    features, charged, number = resize(images, subnet.resolution), 0, 0
    with FlopCounterMode(display=False) as counter:
        for stage, piece in enumerate(subnet.stages):
            features = piece(features)
            if str(stage) in subnet.branches:
                logits = subnet.branches[str(stage)](features)
                leaving = confidence(logits, "score_margin", logits.shape[1]) >= thresholds[number]
                charged += int(leaving.sum()) * costs[number]
                features, number = features[~leaving], number + 1
                if not len(features):
                    return counter.get_total_flops() // 2, charged
        subnet.head(features)
    return counter.get_total_flops() // 2, charged + len(features) * costs[-1]


def check_onnx(path: Path, images: Tensor) -> int:
    """Export a network in all ONNX formats; return in how many of them some test image gets another answer."""
    expected, wrong = load(path, trust=True).predict(images), 0
    with tempfile.TemporaryDirectory() as folder:
        for name in FORMATS:
            exported = export_network(path, name, Path(folder) / name)
            found = load(exported).predict(images)
            labels = int((found.labels != expected.labels).sum())
            exits = int((found.exit_indices != expected.exit_indices).sum())
            apart = float((found.logits - expected.logits)[found.exit_indices == expected.exit_indices].abs().max())
            sys.stdout.write(
                f"{name}: {len(images)} images, {labels} other labels, {exits} other exits, logits differ by at most "
                f"{apart:.2g}\n"
            )
            wrong += labels + exits > 0
    return wrong


if __name__ == "__main__":
    main()
