"""Size limits of a network described by a file, checked before the network is constructed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict

from aebnas_bo.space.architecture import Architecture, Skeleton
from aebnas_bo.space.plan import ConvPlan, NetworkPlan, network_plan

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
    numbers = [*_numbers(asdict(architecture)), *_numbers(asdict(skeleton))]
    if len(numbers) > MOST_NUMBERS or not all(0 <= number <= MOST_NUMBER for number in numbers):
        raise ValueError(f"expected at most {MOST_NUMBERS} numbers from 0 to {MOST_NUMBER} in a network")
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


def _check_plan(plan: NetworkPlan, skeleton: Skeleton) -> None:
    convolutions = list(_convolutions(plan))
    if not all(_is_possible(one) for one in convolutions):
        raise ValueError("expected odd kernels, and channels and sides from 1 on in every layer")
    branches = [branch for branch in plan.branches if branch is not None]
    if not all(branch.classifier_side for branch in branches):
        raise ValueError("a branch pools until nothing is left")
    sides = [plan.resolution, *(layer.layer.upsample for branch in branches for layer in branch.layers)]
    features = [max(one.in_channels * one.stride**2, one.out_channels) * one.side**2 for one in convolutions]
    weights = [(1 if one.is_depthwise else one.in_channels) * one.out_channels * one.kernel**2 for one in convolutions]
    classified = [plan.classifier_channels, *(branch.classifier_channels for branch in branches)]
    weights += [channels * skeleton.exit_outputs for channels in classified]
    if max(sides) > MOST_SIDE or max(features) > MOST_FEATURES or sum(weights) > MOST_WEIGHTS:
        raise ValueError(
            f"expected at most {MOST_SIDE} pixels a side, {MOST_FEATURES} features a layer and {MOST_WEIGHTS} weights"
        )


def _is_possible(one: ConvPlan) -> bool:
    return one.kernel % 2 == 1 and min(one.in_channels, one.out_channels, one.side) > 0


def _convolutions(plan: NetworkPlan) -> Iterator[ConvPlan]:
    yield plan.stem
    for block in (block for stage in plan.stages for block in stage):
        yield from block.convolutions
    for layer in (layer for branch in plan.branches if branch is not None for layer in branch.layers):
        yield from layer.convolutions
    if plan.head is not None:
        yield plan.head


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
