"""Preset `auto`: a space constructed for the size of the images and the limit of average MACs.

Maps shrink early: the stem halves images of at least 24 pixels, and the first stage halves those of more than 40 pixels
again. Few MACs then pay for many channels, which is worth several points of accuracy (docs/spaces.md has the figures).
For the same reason a network that would have a narrow stem at the images' own resolution gets a lower one.

Numbers of channels are multiples of one unit, as in hand-designed networks, but rounded: the stem has one unit of
channels, the first stage two, and every later stage twice as many as the previous one. The choices of widths stem from
six units, whose plain networks, shallow or deep (`plain_family.plain_depths`), have slightly less than 0.1, 0.18, 0.32,
0.56, 1 and 1.8 times the limit, each at its own resolution. So one of them fits each budget of a run with a time budget
without an exit. The largest one is included because early exits lower average MACs below those of the whole network.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import product

from aebnas_bo.space.architecture import Architecture, Skeleton
from aebnas_bo.space.macs import MACS_PER_MILLION, exit_costs
from aebnas_bo.space.plain_family import (
    ACTIVATION,
    DEEP_FROM,
    EARLY_STRIDE_FROM,
    NUM_STAGES,
    SHALLOW_BELOW,
    plain_depths,
    plain_stages,
)
from aebnas_bo.space.plain_points import LEAST_STEM, OVERLAP

Tree = dict[str, object]

LARGEST_RESOLUTION, SMALLEST_RESOLUTION = 224, 20
LADDER = (1.0, 0.75)  # resolutions between one halving of the images' side and the next
# The last stage halves maps of less than twice this number of pixels, or is the last of so many stages.
LAST_SIDE, LEAST_STAGES = 4, NUM_STAGES + 1
HALVING_STEM_FROM = 24  # pixels; the first stage halves the maps of smaller images
SIDE_STEP = 4  # pixels between resolutions
LEAST_FILLED = 0.88  # MACs of the largest plain network within a budget, relative to it
UNITS = 6  # widths of each stage
FITTING = 0.95  # leaves room for rounded channels and for more classes
CHEAPEST, DEAREST = FITTING * 10.0**-1, FITTING * 10.0**0.25  # MACs of the plain networks at the ends over the limit
DEFAULT_UNIT = 14.0  # channels of the stem of the plain network whose MACs stand for a limit where none is given
FIRST_WIDTH = 10  # channels of a first stage instead of 8: a stem of four channels sees too little
MAX_EXITS = 3
CLASSES = 10  # the final classifier's share of the MACs is small; the space must not depend on it


def auto_declaration(image_size: int, in_channels: int, max_average_macs: float | None) -> Tree:
    """Return the raw declaration of the space.

    Args:
        image_size: Side of the images in pixels.
        in_channels: Channels of the images.
        max_average_macs: Limit on average MACs in millions; `None` builds a space around a network of
            `DEFAULT_UNIT` channels in the stem.
    """
    ladder = resolutions_for(image_size)
    skeletons = {side: _skeleton(side, in_channels) for side in ladder}
    limit = (max_average_macs or 0.0) * MACS_PER_MILLION
    limit = limit or plain_macs(skeletons[ladder[0]], ladder[0], DEFAULT_UNIT)
    shares = [CHEAPEST * (DEAREST / CHEAPEST) ** (step / (UNITS - 1)) for step in range(UNITS)]
    main = _side_of(DEAREST * limit, skeletons)
    skeleton = skeletons[main]
    lower = {side: skeleton for side in ladder if side <= main}
    sides = [_side_of(share * limit, lower) for share in shares]
    units = [_unit_of(skeleton, side, share * limit) for side, share in zip(sides, shares, strict=True)]
    units = [*units[::2], *units[1::2]]  # those of the budgets first, which are kept where channels are equal
    for number in range(len(skeleton.stage_strides)):  # every stage has equally many widths
        distinct: dict[int, float] = {}
        for unit in units:
            distinct.setdefault(_channels(unit, number), unit)
        units = list(distinct.values())
    resolutions = [side for side in reversed(ladder) if min(sides) <= side <= main]
    budgets = [share * limit for share in shares[:-1:2]]
    strides = skeleton.stage_strides
    num_stages = len(strides)
    stages = [_stage(number, strides, units) for number in range(num_stages)]
    first_exit = max(num_stages - MAX_EXITS, 1)
    return {
        "resolutions": _with_filled_budgets(resolutions, budgets, units=units, skeleton=skeleton),
        "stem_channels": None,
        "stem_stride": skeleton.stem_stride,
        "head_channels": 0,
        "branch_stride": 2,
        "activation": skeleton.activation,
        "stages": stages,
        "exits": [_exit(number) for number in range(first_exit, num_stages)],
    }


def plain_macs(skeleton: Skeleton, resolution: int, unit: float, *, is_deep: bool = False) -> int:
    """Return the MACs of the plain network of a unit.

    Args:
        skeleton: The fixed part of the space.
        resolution: Side of the image in pixels.
        unit: Channels of the stem.
        is_deep: Whether it is deep; see `plain_family.plain_depths`.
    """
    num_stages = len(skeleton.stage_strides)
    widths = [_channels(unit, number) for number in range(num_stages)]
    stages = plain_stages(widths, depths=plain_depths(num_stages, is_deep=is_deep))
    architecture = Architecture(resolution, stages, (None,) * len(skeleton.exit_stages))
    return exit_costs(architecture, skeleton).cumulative[-1]


def resolutions_for(image_size: int) -> list[int]:
    """Return the resolutions that images may be resized to, largest first; small images keep their own.

    Args:
        image_size: Side of the images in pixels.
    """
    own = min(image_size, LARGEST_RESOLUTION)
    sides = [round(own * share / 2**halving / SIDE_STEP) * SIDE_STEP for halving in range(8) for share in LADDER]
    return [own, *(side for side in sides if SMALLEST_RESOLUTION <= side < own)]


def _side_of(macs: float, skeletons: Mapping[int, Skeleton]) -> int:
    """Return the largest side at which a plain network of so many MACs has a stem of at least `LEAST_STEM` channels.

    Args:
        macs: MACs of the network.
        skeletons: The skeleton for each side, largest side first; the last side is returned if none is small enough.
    """
    wide = (side for side, skeleton in skeletons.items() if plain_macs(skeleton, side, LEAST_STEM) <= macs)
    return next(wide, min(skeletons))


def _with_filled_budgets(
    sides: Sequence[int], budgets: Sequence[float], *, units: Sequence[float], skeleton: Skeleton
) -> list[int]:
    """Return resolutions, with one more for each budget that no plain network uses well, in ascending order.

    Units with equal channels would otherwise leave such budgets.

    Args:
        sides: The resolutions, in ascending order.
        budgets: MACs for each of which a plain network should be slightly cheaper.
        units: The units of the space.
        skeleton: The fixed part of the space.
    """
    chosen = list(sides)
    for budget in budgets:
        filled = _most_within(budget, chosen, units=units, skeleton=skeleton)
        if filled < LEAST_FILLED * budget:
            further = [sorted({*chosen, side}) for side in range(sides[0], sides[-1], SIDE_STEP)]
            filling = [_most_within(budget, some, units=units, skeleton=skeleton) for some in further]
            chosen = max(zip(filling, further, strict=True), default=(0, chosen))[1]
    return chosen


def _most_within(budget: float, sides: Sequence[int], *, units: Sequence[float], skeleton: Skeleton) -> int:
    """Return the most MACs of a plain network within a budget; 0 if there is none.

    Of each resolution only those count that `plain_points` returns.
    """
    within, most = [0], math.inf
    for side in reversed(sides):
        able = [unit for unit in units if side == sides[0] or _channels(unit, 0) / 2 >= LEAST_STEM]
        costs = [
            plain_macs(skeleton, side, unit, is_deep=is_deep)
            for unit, is_deep in product(able, (False, True))
            if (_channels(unit, 0) / 2 >= DEEP_FROM if is_deep else _channels(unit, 0) / 2 < SHALLOW_BELOW)
        ]
        kept = [macs for macs in costs if macs <= most]
        within += [macs for macs in kept if macs <= budget]
        most = OVERLAP * min(kept, default=most / OVERLAP)
    return max(within)


def _skeleton(resolution: int, in_channels: int) -> Skeleton:
    stem = 2 if resolution >= HALVING_STEM_FROM else 1
    first = 2 if stem == 1 or resolution >= EARLY_STRIDE_FROM else 1
    side = resolution / (stem * first)
    halvings = max(math.floor(math.log2(side / LAST_SIDE)) + 1, LEAST_STAGES - 1)
    halvings = min(halvings, math.ceil(math.log2(side)))  # down to one pixel
    return Skeleton(
        in_channels=in_channels,
        num_classes=CLASSES,
        stem_channels=None,
        stem_stride=stem,
        stage_strides=(first, *(2,) * halvings),
        exit_stages=(),
        branch_stride=2,
        head_channels=0,
        activation=ACTIVATION,
    )


def _channels(unit: float, number: int) -> int:
    """Return the width of a stage, counted from 0: a multiple of 4, or 10 instead of 8 in the first."""
    width = max(round(unit * 2 ** (number + 1) / 4) * 4, 4)
    return FIRST_WIDTH if number == 0 and width == 8 else width


def _unit_of(skeleton: Skeleton, resolution: int, macs: float) -> float:
    """Return the unit whose plain network has the given MACs, by bisection; from 2 to 512 channels.

    It is that of a deep network where the other one would have at least `SHALLOW_BELOW` channels.
    """
    for is_deep in (False, True):
        low, high = 2.0, 512.0
        for _ in range(40):
            middle = math.sqrt(low * high)
            is_less = plain_macs(skeleton, resolution, middle, is_deep=is_deep) < macs
            low, high = (middle, high) if is_less else (low, middle)
        if low < SHALLOW_BELOW:
            break
    return low


def _stage(number: int, strides: Sequence[int], units: list[float]) -> Tree:
    is_last = number == len(strides) - 1
    return {
        "widths": sorted({_channels(unit, number) for unit in units}),
        "depths": [0, 1, 2] if is_last else [1, 2] if number == 0 else [1, 2, 3],
        "kinds": ["depthwise_separable", "inverted_residual"],
        "kernels": [3, 5],
        "expansions": [2, 3],
        "stride": strides[number],
    }


def _exit(after_stage: int) -> Tree:
    layer = {"kinds": ["depthwise_separable"], "kernels": [3], "expansions": [1, 2]}
    return {"after_stage": after_stage, "depths": [0, 1, 2, 3], "layers": [layer, layer]}
