"""The networks of a fidelity study: spread over the whole range of costs."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from aebnas_bo.errors import SearchSpaceError
from aebnas_bo.space.macs import exit_costs
from aebnas_bo.space.network_space import NetworkSpace
from aebnas_bo.space.search_space import ContinuousParameter, ParameterValue, Point

DRAWS_PER_POINT = 64
CONCENTRATION = 4.0  # of the beta distribution that pulls a draw's genes towards its size


def spread_points(space: NetworkSpace, count: int, generator: np.random.Generator) -> list[Point]:
    """Draw points of distinct architectures, spread evenly over the logarithm of their worst-case MACs.

    Independent genes would give networks of nearly equal cost, so every draw has a size, towards which all its ordered
    genes lean.

    Args:
        space: The space; exits may be absent, thresholds are uniform in their ranges.
        count: Number of points, at least 2.
        generator: Source of randomness.

    Returns:
        Canonical points, cheapest first.

    Raises:
        SearchSpaceError: If so many distinct architectures were not found.
    """
    by_key: dict[str, tuple[float, Point]] = {}
    for size in generator.uniform(size=DRAWS_PER_POINT * count):
        point = space.search_space.canonical(lean_point(space, float(size), generator))
        architecture = space.architecture(point)
        cost = math.log(exit_costs(architecture, space.skeleton).cumulative[-1])
        by_key.setdefault(architecture.key, (cost, point))
    if len(by_key) < count:
        raise SearchSpaceError(
            f"fidelity.num_architectures: the space gave only {len(by_key)} distinct architectures, expected {count}; "
            "lower it or widen the space"
        )
    left = sorted(by_key.values(), key=lambda entry: entry[0])
    chosen = []
    for target in np.linspace(left[0][0], left[-1][0], count):
        chosen.append(left.pop(nearest_position([cost for cost, _ in left], float(target))))
    return [point for _, point in sorted(chosen, key=lambda entry: entry[0])]


def nearest_position(values: Sequence[float], target: float) -> int:
    """Return the position of the value that is nearest to a target, the first of several."""
    return min(range(len(values)), key=lambda position: abs(values[position] - target))


def lean_point(space: NetworkSpace, size: float, generator: np.random.Generator) -> dict[str, ParameterValue]:
    """Draw a point whose ordered parameters are biased towards a size.

    Args:
        space: The space; exits may be absent, thresholds are uniform in their ranges.
        size: 0 for small networks, 1 for large ones.
        generator: Source of randomness.

    Returns:
        A point, not canonical yet.
    """
    point: dict[str, ParameterValue] = {}
    for parameter in space.search_space.parameters:
        if isinstance(parameter, ContinuousParameter):
            point[parameter.name] = float(generator.uniform(parameter.lower, parameter.upper))
            continue
        count = len(parameter.values)
        share = generator.beta(1.0 + CONCENTRATION * size, 1.0 + CONCENTRATION * (1.0 - size))
        position = min(int(share * count), count - 1) if parameter.is_ordered else int(generator.integers(count))
        point[parameter.name] = parameter.values[position]
    return point
