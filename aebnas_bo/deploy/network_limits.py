"""Size limits of a network described by a file, checked before the network is constructed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, replace
from math import prod

from aebnas_bo.space.architecture import Architecture, Skeleton
from aebnas_bo.space.given_backbone import GivenBackbone
from aebnas_bo.space.plan import BranchPlan, ConvPlan, NetworkPlan, branch_plans, network_plan

MOST_FILE_BYTES = 1 << 30  # bytes of an exported file: 268 million weights
MOST_TEXT_BYTES = 16 << 20  # bytes of a description
MOST_NUMBER = 65536  # largest width, number of classes ...
MOST_SIDE = 4096  # side of an image in pixels
MOST_NUMBERS = 20_000  # numbers in an architecture, two per block
MOST_FEATURES = 1 << 27  # features that one layer reads or writes for one image: 512 MiB
MOST_WEIGHTS = 1 << 28


def check_network(architecture: Architecture, skeleton: Skeleton) -> None:
    """Check that a network can be constructed within bounded memory.

    Args:
        architecture: The network.
        skeleton: The fixed part of its space.

    Raises:
        ValueError: If it cannot.
    """
    numbers = [*_numbers(asdict(architecture)), *_numbers(asdict(replace(skeleton, given=None)))]
    if len(numbers) > MOST_NUMBERS or not all(0 <= number <= MOST_NUMBER for number in numbers):
        raise ValueError(f"expected at most {MOST_NUMBERS} numbers from 0 to {MOST_NUMBER} in a network")
    if skeleton.given is not None:
        _check_given(architecture, skeleton, skeleton.given)
        return
    stages, exits, num_stages = skeleton.exit_stages, len(architecture.exits), len(architecture.stages)
    if not num_stages or num_stages != len(skeleton.stage_strides) or exits != len(stages):
        raise ValueError("expected as many strides as stages, one or more, and as many stages of exits as exits")
    if list(stages) != sorted(set(stages)) or not all(stage < num_stages for stage in stages):
        raise ValueError(f"expected exits behind different stages below {num_stages} in order")
    if skeleton.in_channels not in (1, 3):
        raise ValueError(f"expected 1 or 3 channels of an image, got {skeleton.in_channels}")
    try:
        plan = network_plan(architecture, skeleton)
    except ZeroDivisionError as error:
        raise ValueError("expected strides from 1 on") from error
    _check_plan(plan, skeleton)


def _check_given(architecture: Architecture, skeleton: Skeleton, given: GivenBackbone) -> None:
    """Check the branches on a given backbone; the backbone itself is constructed by its own library."""
    stages, num_points = skeleton.exit_stages, len(given.points)
    if architecture.stages or skeleton.stage_strides or len(architecture.exits) != len(stages):
        raise ValueError("expected no stages with a given backbone, and as many points of exits as exits")
    if list(stages) != sorted(set(stages)) or not all(stage < num_points for stage in stages):
        raise ValueError(f"expected exits behind different points below {num_points} in order")
    own = (skeleton.in_channels, skeleton.num_classes, architecture.resolution)
    if own != (given.in_channels, given.num_classes, given.resolution) or given.in_channels not in (1, 3):
        raise ValueError(
            "expected images and classes of the backbone to be those of its branches, with 1 or 3 channels"
        )
    lengths = {"map": 3, "map_last": 3, "tokens": 2}
    if not all(len(one.shape) == lengths[one.layout] and min(one.shape) > 0 for one in given.points):
        raise ValueError("expected two or three positive sizes at every point of a given backbone")
    if max([given.resolution, *(one.side for one in given.points)]) > MOST_SIDE:
        raise ValueError(f"expected at most {MOST_SIDE} pixels a side")
    try:
        branches = [branch for branch in branch_plans(architecture, skeleton) if branch is not None]
    except ZeroDivisionError as error:
        raise ValueError("expected strides from 1 on") from error
    if max((prod(one.shape) for one in given.points), default=0) > MOST_FEATURES:
        raise ValueError(f"expected at most {MOST_FEATURES} features at a point")
    _check_branches(branches, skeleton, _convolutions_of(branches))


def _check_plan(plan: NetworkPlan, skeleton: Skeleton) -> None:
    branches = [branch for branch in plan.branches if branch is not None]
    if plan.resolution > MOST_SIDE:
        raise ValueError(f"expected at most {MOST_SIDE} pixels a side")
    weights = plan.classifier_channels * skeleton.exit_outputs
    _check_branches(branches, skeleton, _convolutions(plan), other_weights=weights)


def _check_branches(
    branches: Sequence[BranchPlan], skeleton: Skeleton, of: Iterable[ConvPlan], *, other_weights: int = 0
) -> None:
    convolutions = list(of)
    if not all(_is_possible(one) for one in convolutions):
        raise ValueError("expected odd kernels, and channels and sides from 1 on in every layer")
    if not all(branch.classifier_side for branch in branches):
        raise ValueError("a branch pools until nothing is left")
    sides = [layer.layer.upsample for branch in branches for layer in branch.layers]
    features = [max(one.in_channels * one.stride**2, one.out_channels) * one.side**2 for one in convolutions]
    weights = [(1 if one.is_depthwise else one.in_channels) * one.out_channels * one.kernel**2 for one in convolutions]
    weights += [branch.classifier_channels * skeleton.exit_outputs for branch in branches]
    largest = max(sides, default=0), max(features, default=0), sum(weights) + other_weights
    if any(one > most for one, most in zip(largest, (MOST_SIDE, MOST_FEATURES, MOST_WEIGHTS), strict=True)):
        raise ValueError(
            f"expected at most {MOST_SIDE} pixels a side, {MOST_FEATURES} features a layer and {MOST_WEIGHTS} weights"
        )


def _is_possible(one: ConvPlan) -> bool:
    return one.kernel % 2 == 1 and min(one.in_channels, one.out_channels, one.side) > 0


def _convolutions(plan: NetworkPlan) -> Iterator[ConvPlan]:
    yield plan.stem
    for block in (block for stage in plan.stages for block in stage):
        yield from block.convolutions
    yield from _convolutions_of([branch for branch in plan.branches if branch is not None])
    if plan.head is not None:
        yield plan.head


def _convolutions_of(branches: Sequence[BranchPlan]) -> Iterator[ConvPlan]:
    for layer in (layer for branch in branches for layer in branch.layers):
        yield from layer.convolutions


def _numbers(value: object) -> Iterator[int]:
    """Yield all whole numbers in nested dictionaries and sequences."""
    if isinstance(value, int):
        yield value
    elif isinstance(value, dict):
        for one in value.values():
            yield from _numbers(one)
    elif isinstance(value, Sequence) and not isinstance(value, str):
        for one in value:
            yield from _numbers(one)
