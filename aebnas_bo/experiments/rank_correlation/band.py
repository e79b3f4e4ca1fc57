"""Networks whose estimated average MACs lie in a band, spread over their worst-case MACs.

A network can lie in a band if its first output costs at most the upper end of the band and its last output at least
the lower end. Average MACs increase with thresholds, so one forward pass and bisection suffice to find thresholds
for which such a network lies in the band.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np

from aebnas_bo.early_exit.exit_rule import ExitTable, evaluate_thresholds
from aebnas_bo.errors import SearchSpaceError
from aebnas_bo.experiments.rank_correlation.band_option import Band
from aebnas_bo.experiments.rank_correlation.drawing import lean_point, nearest_position
from aebnas_bo.space.architecture import Architecture
from aebnas_bo.space.macs import exit_costs, millions
from aebnas_bo.space.network_space import NetworkSpace, threshold_name
from aebnas_bo.space.search_space import ContinuousParameter, ParameterValue, Point

DRAWS_PER_POINT = 256
ESTIMATES_PER_POINT = 8
HALVINGS = 40  # bisection steps between the lowest and the highest thresholds


def band_candidates(space: NetworkSpace, count: int, *, band: Band, generator: np.random.Generator) -> list[Point]:
    """Draw points of distinct architectures that can lie in a band; nothing is estimated yet.

    Args:
        space: The space.
        count: Number of networks wanted.
        band: Lowest and highest average MACs in millions.
        generator: Source of randomness.

    Returns:
        Canonical points, at least `count`, cheapest first.

    Raises:
        SearchSpaceError: If fewer were found.
    """
    draws = DRAWS_PER_POINT * count
    by_key: dict[str, tuple[int, Point]] = {}
    lowest, highest = math.inf, 0.0
    for size in generator.uniform(size=draws):
        point = space.search_space.canonical(lean_point(space, float(size), generator))
        architecture = space.architecture(point)
        costs = exit_costs(architecture, space.skeleton).cumulative
        first, last = millions(costs[0]), millions(costs[-1])
        lowest, highest = min(lowest, first), max(highest, last)
        if first <= band[1] and last >= band[0]:
            by_key.setdefault(architecture.key, (costs[-1], point))
    if len(by_key) < count:
        raise SearchSpaceError(
            f"fidelity.band: of {draws} random networks {len(by_key)} can have average MACs of {_text(band)}, expected "
            f"{count}; average MACs of this space's networks lie between {lowest:.3g} and {highest:.3g} million: move "
            "or widen the band, or lower fidelity.num_architectures"
        )
    return [point for _, point in sorted(by_key.values(), key=lambda entry: entry[0])]


def points_in_band(
    space: NetworkSpace,
    candidates: Sequence[Point],
    count: int,
    *,
    band: Band,
    table_of: Callable[[Architecture], ExitTable],
    generator: np.random.Generator,
) -> list[Point]:
    """Choose networks and thresholds whose estimated average MACs lie in a band.

    Args:
        space: The space.
        candidates: Points from `band_candidates`.
        count: Number of points.
        band: Lowest and highest average MACs in millions.
        table_of: Function from an architecture to its exit table; called once for each network.
        generator: Source of randomness.

    Returns:
        Canonical points, spread evenly over the logarithm of their worst-case MACs, cheapest first.

    Raises:
        SearchSpaceError: If such thresholds were found for too few networks.
    """
    left = [(_log_worst_case(space, point), point) for point in candidates]
    chosen: list[tuple[float, Point]] = []
    tries = min(ESTIMATES_PER_POINT * count, len(left))
    remaining = tries
    for target in np.linspace(left[0][0], left[-1][0], count):
        is_found = False
        while not is_found and remaining > 0:
            remaining -= 1
            cost, point = left.pop(nearest_position([entry[0] for entry in left], float(target)))
            moved = _moved_into(space, point, table_of(space.architecture(point)), band=band, generator=generator)
            if moved is not None:
                chosen.append((cost, moved))
                is_found = True
    if len(chosen) < count:
        raise SearchSpaceError(
            f"fidelity.band: of {tries} networks tried {len(chosen)} have thresholds that give average MACs of "
            f"{_text(band)}, expected {count}; widen the band or the ranges of thresholds, or lower "
            "fidelity.num_architectures"
        )
    return [point for _, point in sorted(chosen, key=lambda entry: entry[0])]


def _moved_into(
    space: NetworkSpace, point: Point, table: ExitTable, *, band: Band, generator: np.random.Generator
) -> Point | None:
    """Return the point with thresholds moved so that its average MACs lie in the band, or `None`.

    All thresholds move together from the drawn ones, either towards their lower or towards their upper ends, until
    average MACs come closest to a target drawn from the part of the band that this reaches.
    """

    def macs_at(share: float) -> float:
        thresholds = space.thresholds(_shifted(space, point, share))
        return millions(evaluate_thresholds(table, thresholds).average_macs)

    low, high = max(band[0], macs_at(-1.0)), min(band[1], macs_at(1.0))
    if low > high:
        return None
    target = float(generator.uniform(low, high))
    below, above = -1.0, 1.0
    for _ in range(HALVINGS):
        middle = (below + above) / 2.0
        if macs_at(middle) <= target:
            below = middle
        else:
            above = middle
    nearest = min((below, above), key=lambda share: abs(macs_at(share) - target))
    return _shifted(space, point, nearest) if band[0] <= macs_at(nearest) <= band[1] else None


def _shifted(space: NetworkSpace, point: Point, share: float) -> Point:
    """Return a point with all thresholds moved by a share of the way to their lower (-1) or upper (1) bounds."""
    moved: dict[str, ParameterValue] = dict(point)
    for position in space.architecture(point).active_exits:
        name = threshold_name(position)
        if name not in space.search_space.names:
            continue
        parameter, drawn = space.search_space[name], float(point[name])
        if isinstance(parameter, ContinuousParameter):
            end = parameter.upper if share > 0.0 else parameter.lower
            moved[name] = drawn + abs(share) * (end - drawn)
        else:
            values = [float(value) for value in parameter.values]
            end = values[-1] if share > 0.0 else values[0]
            wanted = drawn + abs(share) * (end - drawn)
            moved[name] = min(values, key=lambda value: abs(value - wanted))
    return space.search_space.canonical(moved)


def _log_worst_case(space: NetworkSpace, point: Point) -> float:
    return math.log(exit_costs(space.architecture(point), space.skeleton).cumulative[-1])


def _text(band: Band) -> str:
    return f"{band[0]:g} to {band[1]:g} million"
