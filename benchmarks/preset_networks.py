r"""Accuracy of networks of a preset and of plain networks of equal MACs, each trained alone for equal time.

    python -m benchmarks.preset_networks configs/worth/cifar100-20.yaml --spaces cifar32 --macs 0.4 1.3 4 \
        --seconds 45 --seeds 0 1 --out FILE

For every budget of `--macs`, the network of a space is the one whose MACs are nearest among its plain networks
(`aebnas_bo.space.plain_points`), without exits: depthwise separable 3x3 blocks. They are the first networks that a
search in this space measures. If none of them is within a factor of `NEAR` of the budget, their blocks are replaced by
inverted residuals of the smallest kernel and expansion that give such a network; so are those of the smallest networks
of all resolutions in a space without plain networks. The plain network of equal MACs
(`aebnas_bo.space.plain_family`) reads images of their own size. Both are trained by the final recipe from labels alone,
each for `--seconds` of processor time, on the training split. Accuracy is measured on the validation images; the seed
also draws the splits. Rows that are in the file are not run again. The table shows the mean paired difference to the
plain network over seeds, with its standard error.
"""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Sequence
from dataclasses import replace
from itertools import product
from pathlib import Path

from aebnas_bo.config.loading import load_config
from aebnas_bo.data.datasets import load_splits
from aebnas_bo.errors import UsageError
from aebnas_bo.execution.cpu import set_up_cpu
from aebnas_bo.preparation.fingerprints import recipe_identity
from aebnas_bo.space.architecture import Architecture, Block, content_key, skeleton_form
from aebnas_bo.space.block_and_layer_kinds import LayerKind
from aebnas_bo.space.macs import MACS_PER_MILLION, exit_costs
from aebnas_bo.space.network_space import NetworkSpace
from aebnas_bo.space.plain_family import NUM_STAGES, plain_depths, stem_stride
from aebnas_bo.space.plain_points import plain_points
from aebnas_bo.space.search_space import ChoiceParameter, Point
from aebnas_bo.storage.version import FINAL_VERSION
from benchmarks.final_recipe import Row
from benchmarks.plain_shapes import FIGURES, Shape, plain_of, table, trained
from benchmarks.records import appending_rows, output_file, read_rows

PLAIN = "plain"
EXPANDING: LayerKind = "inverted_residual"
NEAR = 1.25  # ratio of MACs
IDENTITY = ["data", "space", "macs", "variant", "seconds", "seed", "settings"]


def member(space: NetworkSpace, macs: float) -> Architecture:
    """Return the network of a space that is compared at a number of MACs (module docstring).

    Args:
        space: The space.
        macs: MACs (not millions).

    Raises:
        UsageError: If the space has neither plain networks nor one inverted residual that all stages may have.
    """

    def distance(one: Architecture) -> float:
        return abs(math.log(exit_costs(one, space.skeleton).cumulative[-1] / macs))

    shared = set.intersection(*(set(stage.blocks) for stage in space.declaration.stages))
    expanding = sorted((one for one in shared if one.kind == EXPANDING), key=lambda one: (one.kernel, one.expansion))
    plain, shallow = _without_exits(space, plain_points(space)), _without_exits(space, _shallow_points(space))
    families = [*([plain] if plain else []), *([_of(one, block) for one in plain or shallow] for block in expanding)]
    if not families:
        raise UsageError(
            "--spaces: expected depthwise_separable or one inverted residual among the blocks of all stages"
        )
    nearest = [min(family, key=distance) for family in families]
    return next((one for one in nearest if distance(one) <= math.log(NEAR)), min(nearest, key=distance))


def _without_exits(space: NetworkSpace, points: Sequence[Point]) -> list[Architecture]:
    return [replace(space.architecture(point), exits=(None,) * len(space.declaration.exits)) for point in points]


def _shallow_points(space: NetworkSpace) -> list[Point]:
    """Return a point of the smallest values for each resolution."""
    parameters = space.search_space.parameters
    smallest = {one.name: one.values[0] if isinstance(one, ChoiceParameter) else one.upper for one in parameters}
    return [{**smallest, "resolution": resolution} for resolution in space.declaration.resolutions]


def _of(network: Architecture, block: Block) -> Architecture:
    """Return a network with all blocks replaced by one."""
    return replace(
        network, stages=tuple(replace(stage, blocks=(block,) * len(stage.blocks)) for stage in network.stages)
    )


def main() -> None:
    """Run the missing trainings, then print a table for each space."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("config", type=Path, help="YAML file with the settings of the images")
    parser.add_argument("--spaces", nargs="+", required=True, help="presets, or files of declarations")
    parser.add_argument("--macs", type=float, nargs="+", required=True, help="total MACs in millions")
    parser.add_argument("--seconds", type=float, required=True, help="processor time of a training")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--set", dest="settings", action="append", default=[], metavar="SECTION.KEY=VALUE")
    parser.add_argument("--out", type=output_file, required=True)
    arguments = parser.parse_args()
    wanted = [
        identity
        for seed, space in product(arguments.seeds, arguments.spaces)
        for identity in _run(arguments, space, seed)
    ]
    rows = [row for row in read_rows(arguments.out) if _identity(row) in wanted]
    for space in arguments.spaces:
        sys.stdout.write(f"{space}\n\n{table([row for row in rows if row['space'] == space])}\n")


def _run(arguments: argparse.Namespace, name: str, seed: int) -> list[tuple[str, ...]]:
    """Run the missing trainings of a space and a seed, and return what identifies all rows of them."""
    settings = [f"space={name}", f"data.split_seed={seed}", f"seed={seed}", *arguments.settings]
    config = load_config(arguments.config, settings)
    set_up_cpu(config.num_threads)
    splits = load_splits(config.data)
    space = NetworkSpace(config.space, splits.in_channels, splits.num_classes)
    recipe = [FINAL_VERSION, recipe_identity(config.final_training, config), splits.data_hash]
    known, wanted = {_identity(row) for row in read_rows(arguments.out)}, []
    with appending_rows(arguments.out, [*IDENTITY, *FIGURES]) as append:
        for macs in arguments.macs:
            chosen = member(space, macs * MACS_PER_MILLION)
            cost = exit_costs(chosen, space.skeleton).cumulative[-1]
            side = splits.image_size
            depths = plain_depths(NUM_STAGES, is_deep=False)
            shape = Shape(side, (stem_stride(side), *(2,) * NUM_STAGES), (3,) * NUM_STAGES, depths)
            plain = plain_of(shape, cost, in_channels=splits.in_channels, num_classes=splits.num_classes)
            for variant, (architecture, skeleton) in {PLAIN: plain, name: (chosen, space.skeleton)}.items():
                own = content_key([*recipe, architecture.key, skeleton_form(skeleton)])
                identity = (config.name, name, f"{macs:g}", variant, f"{arguments.seconds:g}", str(seed), own)
                wanted.append(identity)
                if identity not in known:
                    row = trained(architecture, skeleton, config, splits=splits, seconds=arguments.seconds)
                    append([*identity, *(f"{value:.6g}" for value in row)])
    return wanted


def _identity(row: Row) -> tuple[str, ...]:
    return tuple(row[name] for name in IDENTITY)


if __name__ == "__main__":
    main()
