"""Non-dominated and feasible observations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from aebnas_bo.search.objectives import Objective, optimized, shortfall, to_maximize
from aebnas_bo.search.trial import Observation, Trial, observations


def pareto_front(trials: Sequence[Trial], objectives: Sequence[Objective]) -> list[Observation]:
    """Return the feasible non-dominated observations of trials at all operating points, cheapest first.

    Args:
        trials: Trials of any status.
        objectives: The objectives; the front is sorted by the first cost.

    Returns:
        Non-dominated observations; of several with equal metrics, the earliest.
    """
    observed = observations(trials)
    return [observed[position] for position in front_positions([one.metrics for one in observed], objectives)]


def front_positions(metrics: Sequence[Mapping[str, float]], objectives: Sequence[Objective]) -> list[int]:
    """Return the indices of feasible non-dominated rows of metrics, cheapest first.

    Args:
        metrics: Metrics of `n` observations.
        objectives: The objectives.
    """
    able = [position for position, row in enumerate(metrics) if shortfall(row, objectives) == 0.0]
    if not able:
        return []
    points = to_maximize([metrics[position] for position in able], objectives)
    front = [able[row] for row in non_dominated(points)]
    cost = _first_cost(objectives)
    return sorted(front, key=lambda position: metrics[position][cost.name])


def non_dominated(points: NDArray[np.float64]) -> list[int]:
    """Return the indices of non-dominated rows in order; of equal rows, only the first.

    BoTorch has such a function, but importing PyTorch takes seconds, and `status` must be fast.

    Args:
        points: `n x m` values; larger is better.
    """
    kept: list[int] = []
    descending = np.lexsort(-points.T[::-1])  # stable: a row comes after every row that dominates or equals it
    for row in descending.tolist():
        if not (points[kept] >= points[row]).all(axis=1).any():
            kept.append(row)
    return sorted(kept)


def _first_cost(objectives: Sequence[Objective]) -> Objective:
    goals = optimized(objectives)
    return next((objective for objective in goals if not objective.maximize), goals[-1])


def admissible(observed: Sequence[Observation], objectives: Sequence[Objective]) -> list[Observation]:
    """Return the observations that meet every limit of the objectives."""
    return [one for one in observed if shortfall(one.metrics, objectives) == 0.0]


def nearest_to_admissible(trials: Sequence[Trial], objectives: Sequence[Objective]) -> Observation | None:
    """Return the observation with the smallest constraint violation, the cheapest of several; `None` if none exists."""
    cost = _first_cost(objectives)
    return min(
        observations(trials),
        key=lambda one: (shortfall(one.metrics, objectives), -cost.sign * one.metrics[cost.name]),
        default=None,
    )
