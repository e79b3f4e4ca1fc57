"""Preset `auto`: a space constructed for the size of the images and the limit of average MACs.

Numbers of channels are multiples of one unit, as in hand-designed networks: the stem has one unit of channels, the
first stage two, and every later stage twice as many as the previous one and a stride of 2. The choices of widths stem
from six units, whose plain networks have slightly less than 0.1, 0.18, 0.32, 0.56, 1 and 1.8 times the limit. So one
of them fits each budget of a run with a time budget without an exit. The largest one is included because early exits
lower average MACs below those of the whole network.
"""

from __future__ import annotations

import math

from aebnas_bo.space.architecture import Architecture, Skeleton
from aebnas_bo.space.macs import MACS_PER_MILLION, exit_costs
from aebnas_bo.space.plain_family import ACTIVATION, plain_stages, stem_stride

Tree = dict[str, object]

LARGEST_RESOLUTION, SMALLEST_RESOLUTION = 224, 20
LADDER = (1.0, 0.75)  # resolutions between one halving of the images' side and the next
LAST_SIDE = 4  # pixels of the last map that is always there
UNITS = 6  # widths of each stage
FITTING = 0.95  # leaves room for rounded channels and for more classes
CHEAPEST, DEAREST = FITTING * 10.0**-1, FITTING * 10.0**0.25  # MACs of the plain networks at the ends over the limit
DEFAULT_UNIT = 14.0  # channels of the stem of the plain network whose MACs stand for a limit where none is given
MAX_EXITS = 3
LEAST_UNIT = 6.0  # channels of the stem of the largest plain network; a lower resolution is better than less
CLASSES = 10  # the final classifier's share of the MACs is small; the space must not depend on it


def auto_declaration(image_size: int, in_channels: int, max_average_macs: float | None) -> Tree:
    """Return the raw declaration of the space.

    Args:
        image_size: Side of the images in pixels.
        in_channels: Channels of the images.
        max_average_macs: Limit on average MACs in millions; `None` builds a space around a network of
            `DEFAULT_UNIT` channels in the stem.
    """
    ladder = _ladder(image_size)
    skeletons = {side: _skeleton(side, in_channels) for side in ladder}
    limit = (max_average_macs or 0.0) * MACS_PER_MILLION
    limit = limit or plain_macs(skeletons[ladder[0]], ladder[0], DEFAULT_UNIT)
    fitting = [side for side in ladder if plain_macs(skeletons[side], side, LEAST_UNIT) <= DEAREST * limit]
    main = fitting[0] if fitting else ladder[-1]
    at, skeleton = ladder.index(main), skeletons[main]
    resolutions = sorted(ladder[max(at - 1, 0) : at + 2])
    ends = [_unit_of(skeleton, main, share * limit) for share in (CHEAPEST, DEAREST)]
    units = [ends[0] * (ends[1] / ends[0]) ** (step / (UNITS - 1)) for step in range(UNITS)]
    num_stages = len(skeleton.stage_strides)
    stages = [_stage(number, num_stages, units) for number in range(num_stages)]
    first_exit = max(num_stages - MAX_EXITS, 1)
    return {
        "resolutions": resolutions,
        "stem_channels": None,
        "stem_stride": skeleton.stem_stride,
        "head_channels": 0,
        "branch_stride": 2,
        "activation": skeleton.activation,
        "stages": stages,
        "exits": [_exit(number) for number in range(first_exit, num_stages)],
    }


def plain_macs(skeleton: Skeleton, resolution: int, unit: float) -> int:
    """Return the MACs of the plain network of a unit, with channels in multiples of 4.

    Args:
        skeleton: The fixed part of the space.
        resolution: Side of the image in pixels.
        unit: Channels of the stem.
    """
    stages = plain_stages([_channels(unit, number) for number in range(len(skeleton.stage_strides))])
    architecture = Architecture(resolution, stages, (None,) * len(skeleton.exit_stages))
    return exit_costs(architecture, skeleton).cumulative[-1]


def _ladder(image_size: int) -> list[int]:
    """Return the sides images may be resized to, largest first; small images keep their own."""
    own = min(image_size, LARGEST_RESOLUTION)
    sides = [round(own * share / 2**halving / 4) * 4 for halving in range(8) for share in LADDER]
    return [own, *(side for side in sides if SMALLEST_RESOLUTION <= side < own)]


def _skeleton(resolution: int, in_channels: int) -> Skeleton:
    stride = stem_stride(resolution)
    halvings = math.log2(max(resolution / stride / LAST_SIDE, 1.0))
    num_stages = max(math.floor(halvings), 1) + 1  # one more, which may be absent
    return Skeleton(
        in_channels=in_channels,
        num_classes=CLASSES,
        stem_channels=None,
        stem_stride=stride,
        stage_strides=(2,) * num_stages,
        exit_stages=(),
        branch_stride=2,
        head_channels=0,
        activation=ACTIVATION,
    )


def _channels(unit: float, number: int) -> int:
    """Return the width of a stage, counted from 0: a multiple of 4."""
    return max(round(unit * 2 ** (number + 1) / 4) * 4, 4)


def _unit_of(skeleton: Skeleton, resolution: int, macs: float) -> float:
    """Return the unit whose plain network has the given MACs, by bisection; from 2 to 512 channels."""
    low, high = 2.0, 512.0
    for _ in range(40):
        middle = math.sqrt(low * high)
        low, high = (middle, high) if plain_macs(skeleton, resolution, middle) < macs else (low, middle)
    return low


def _stage(number: int, num_stages: int, units: list[float]) -> Tree:
    is_last = number == num_stages - 1
    return {
        "widths": sorted({_channels(unit, number) for unit in units}),
        "depths": [0, 1, 2] if is_last else [1, 2] if number == 0 else [1, 2, 3],
        "kinds": ["depthwise_separable", "inverted_residual"],
        "kernels": [3, 5],
        "expansions": [2, 3],
        "stride": 2,
    }


def _exit(after_stage: int) -> Tree:
    layer = {"kinds": ["depthwise_separable"], "kernels": [3], "expansions": [1, 2]}
    return {"after_stage": after_stage, "depths": [0, 1, 2, 3], "layers": [layer, layer]}
