r"""Accuracy of plain networks of equal MACs and equal training time, by resolution, strides, kernels and depths.

    python -m benchmarks.plain_shapes configs/worth/trashnet.yaml --macs 0.25 0.8 \
        --shapes 96:2,2,2,2 48:2,2,2,2 --seconds 75 --seeds 0 1 --out FILE

A shape is the side of the images in pixels, the stride of the stem and the stride of each stage, and optionally the
kernel size of each stage, as in 32:2,1,2,2:3,5,5, and its number of depthwise separable blocks, as in
32:2,1,2,2:3,3,3:2,3,2. By default kernels are 3x3, and blocks are those of narrow plain networks. The widths of the
stages double, starting with twice that of the stem, and are chosen so that the MACs are nearest to `--macs`. Networks
without exits are trained by the final recipe from labels alone, each for `--seconds` of processor time, on the training
split. Accuracy is measured on the validation images; the seed also draws the splits. Rows that are in the file are not
run again. The table shows the mean paired difference to the first shape over seeds, with its standard error.
"""

from __future__ import annotations

import argparse
import math
import statistics
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import torch

from aebnas_bo.config.loading import load_config
from aebnas_bo.config.schema import Config
from aebnas_bo.data.augmentation import Augmentation
from aebnas_bo.data.datasets import load_splits
from aebnas_bo.data.splits import Splits
from aebnas_bo.deploy.final_recipe import train_from_scratch
from aebnas_bo.errors import UsageError
from aebnas_bo.estimation.measuring import output_logits
from aebnas_bo.execution.cpu import set_up_cpu
from aebnas_bo.preparation.fingerprints import recipe_identity
from aebnas_bo.space.architecture import Architecture, Skeleton, content_key
from aebnas_bo.space.macs import MACS_PER_MILLION, exit_costs, millions
from aebnas_bo.space.plain_family import ACTIVATION, plain_depths, plain_stages
from aebnas_bo.storage.version import FINAL_VERSION
from aebnas_bo.training.training_loop import TrainingData
from benchmarks.final_recipe import Row, difference_text, paired_difference
from benchmarks.records import appending_rows, output_file, read_rows
from benchmarks.worth_plain import seconds_per_epoch

IDENTITY = ["data", "macs", "variant", "seconds", "seed", "settings"]
FIGURES = ["million_macs", "epochs", "accuracy"]
LEAST_UNIT, MOST_UNIT = 1.0, 512.0  # channels of the stem


@dataclass(frozen=True)
class Shape:
    """Resolution, strides and kernels of a plain network.

    Args:
        resolution: Side of the image in pixels.
        strides: Stride of the stem, then that of each stage.
        kernels: Kernel size of each stage.
        depths: Number of blocks of each stage.
    """

    resolution: int
    strides: tuple[int, ...]
    kernels: tuple[int, ...]
    depths: tuple[int, ...]

    @classmethod
    def parse(cls, text: str) -> Shape:
        """Return the shape that a text like `32:2,1,2,2` describes.

        Raises:
            UsageError: If it is none.
        """
        side, *lists = text.split(":")
        try:
            strides, kernels, depths = ([tuple(int(one) for one in part.split(",")) for part in lists] + [()] * 2)[:3]
            num_stages = len(strides) - 1
            shape = cls(
                int(side), strides, kernels or (3,) * num_stages, depths or plain_depths(num_stages, is_deep=False)
            )
        except ValueError:
            shape = cls(0, (), (), ())
        is_valid = shape.resolution >= 1 and len(shape.strides) >= 2 and set(shape.strides) <= {1, 2}
        has_kernels = len(shape.kernels) == len(shape.strides) - 1 and set(shape.kernels) <= {3, 5, 7}
        has_depths = len(shape.depths) == len(shape.strides) - 1 and min(shape.depths, default=0) >= 1
        if len(lists) > 3 or not (is_valid and has_kernels and has_depths):
            raise UsageError(
                "--shapes: expected SIDE:STEM,STAGE,... with strides of 1 or 2, as 32:2,1,2,2, or with a kernel size "
                "of 3, 5 or 7 for each stage, as 32:2,1,2,2:3,5,5, and its number of blocks, as "
                f"32:2,1,2,2:3,3,3:2,3,2; got {text!r}"
            )
        return shape


def plain_of(shape: Shape, macs: float, *, in_channels: int, num_classes: int) -> tuple[Architecture, Skeleton]:
    """Return the plain network of a shape whose MACs (not millions) are nearest to a number, by bisection."""
    num_stages = len(shape.strides) - 1
    skeleton = Skeleton(
        in_channels=in_channels,
        num_classes=num_classes,
        stem_channels=None,
        stem_stride=shape.strides[0],
        stage_strides=shape.strides[1:],
        exit_stages=(),
        branch_stride=2,
        head_channels=0,
        activation=ACTIVATION,
    )

    def network(unit: float) -> Architecture:
        widths = [max(2 * round(unit * 2**number), 2) for number in range(num_stages)]
        return Architecture(shape.resolution, plain_stages(widths, shape.kernels, depths=shape.depths), ())

    def cost(unit: float) -> int:
        return exit_costs(network(unit), skeleton).cumulative[-1]

    low, high = LEAST_UNIT, MOST_UNIT
    for _ in range(40):
        middle = math.sqrt(low * high)
        low, high = (middle, high) if cost(middle) <= macs else (low, middle)
    return network(min((low, high), key=lambda unit: abs(math.log(cost(unit) / macs)))), skeleton


def main() -> None:
    """Run the missing trainings, then print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("config", type=Path, help="YAML file with the settings of the images")
    parser.add_argument("--macs", type=float, nargs="+", required=True, help="total MACs in millions")
    parser.add_argument("--shapes", nargs="+", required=True, help="SIDE:STEM,STAGE,...[:KERNEL,...[:BLOCKS,...]]")
    parser.add_argument("--seconds", type=float, required=True, help="processor time of a training")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--out", type=output_file, required=True)
    arguments = parser.parse_args()
    shapes = {text: Shape.parse(text) for text in arguments.shapes}
    wanted: set[tuple[str, ...]] = set()
    known = {_identity(row) for row in read_rows(arguments.out)}
    with appending_rows(arguments.out, [*IDENTITY, *FIGURES]) as append:
        for seed in arguments.seeds:
            config = load_config(arguments.config, [f"data.split_seed={seed}", f"seed={seed}"])
            set_up_cpu(config.num_threads)
            splits = load_splits(config.data)
            own = content_key([FINAL_VERSION, recipe_identity(config.final_training, config), splits.data_hash])
            for macs, text in product(arguments.macs, shapes):
                identity = (config.name, f"{macs:g}", text, f"{arguments.seconds:g}", str(seed), own)
                wanted.add(identity)
                if identity not in known:
                    network = plain_of(
                        shapes[text],
                        macs * MACS_PER_MILLION,
                        in_channels=splits.in_channels,
                        num_classes=splits.num_classes,
                    )
                    row = trained(*network, config, splits=splits, seconds=arguments.seconds)
                    append([*identity, *(f"{value:.6g}" for value in row)])
    sys.stdout.write(table([row for row in read_rows(arguments.out) if _identity(row) in wanted]))


def trained(
    architecture: Architecture, skeleton: Skeleton, config: Config, *, splits: Splits, seconds: float
) -> list[float]:
    """Train a network without exits and return its `FIGURES`: millions, epochs, percent of the validation images.

    Args:
        architecture: The network.
        skeleton: Fixed part of its space.
        config: Settings of recipe, augmentation and seed.
        splits: Images.
        seconds: Processor time of the training.

    Raises:
        TrainingDivergedError: If training fails for good.
    """
    recipe = config.final_training
    data = TrainingData(
        splits.train.images, splits.train.labels, Augmentation.of(config.augmentation_of(recipe), splits)
    )
    per_epoch = seconds_per_epoch(architecture, skeleton, data, recipe=recipe, seed=config.seed)
    epochs = max(round(seconds / per_epoch), 1)
    recipe, started = recipe.model_copy(update={"epochs": epochs}), time.process_time()
    subnet = train_from_scratch(architecture, skeleton, data, config=recipe, seed=config.seed)
    took = time.process_time() - started
    with torch.no_grad():
        batches = splits.normalized_batches(splits.validation.images, config.estimation.batch_size)
        predictions = output_logits(subnet, batches)[-1].argmax(dim=-1)
    accuracy = 100.0 * float((predictions == splits.validation.labels).double().mean())
    cost = millions(exit_costs(architecture, skeleton).cumulative[-1])
    sys.stderr.write(f"{architecture.key}: {cost:.3f} M, {epochs} epochs in {took:.0f} s, {accuracy:.2f} %\n")
    return [cost, epochs, accuracy]


def table(rows: Sequence[Row]) -> str:
    """Return means per budget and shape, and paired differences to the first shape, as a Markdown table.

    Args:
        rows: Rows, one per budget, shape and seed.
    """
    lines = ["| budget (M) | shape | seeds | MACs (M) | epochs | accuracy (%) | difference |", "|---" * 7 + "|"]
    for macs in dict.fromkeys(row["macs"] for row in rows):
        of_budget = [{**row, "key": macs} for row in rows if row["macs"] == macs]
        shapes = list(dict.fromkeys(row["variant"] for row in of_budget))
        for shape in shapes:
            its = [row for row in of_budget if row["variant"] == shape]
            means = [f"{statistics.mean(float(row[figure]) for row in its):.4g}" for figure in FIGURES]
            difference = (
                "–"
                if shape == shapes[0]
                else difference_text(paired_difference(of_budget, shape, shapes[0], "accuracy"))
            )
            lines.append(f"| {' | '.join([macs, shape, str(len(its)), *means, difference])} |")
    return "\n".join(lines) + "\n"


def _identity(row: Row) -> tuple[str, ...]:
    return tuple(row[name] for name in IDENTITY)


if __name__ == "__main__":
    main()
