"""Hypervolume of a set of trials, and its curve over a study."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from aebnas_bo.analysis.pareto import admissible, non_dominated
from aebnas_bo.search.objectives import Objective, reference_to_maximize, to_maximize
from aebnas_bo.search.trial import Trial, observations


def hypervolume(trials: Sequence[Trial], objectives: Sequence[Objective], has_settings: bool = False) -> float:
    """Return the hypervolume of the feasible completed trials, in natural units.

    Args:
        trials: Trials in order.
        objectives: Directions and reference point.
        has_settings: Whether to include further operating points.
    """
    curve = hypervolume_curve(trials, objectives, has_settings)
    return curve[-1][1] if curve else 0.0


def hypervolume_curve(
    trials: Sequence[Trial], objectives: Sequence[Objective], has_settings: bool = False
) -> list[tuple[int, float]]:
    """Return the hypervolume after each trial.

    Args:
        trials: Trials in order; only completed, feasible trials contribute.
        objectives: Directions and reference point.
        has_settings: Whether to include further operating points.

    Returns:
        `(trial number, hypervolume)` per trial; the values are non-decreasing.
    """
    reference = reference_to_maximize(objectives)
    front = np.empty((0, len(reference)))
    curve: list[tuple[int, float]] = []
    value = 0.0
    for trial in trials:
        observed = observations([trial])
        counted = admissible(observed if has_settings else observed[:1], objectives)
        points = to_maximize([one.metrics for one in counted], objectives)
        new = [point for point in points if (point > reference).all() and not _is_dominated(point, front)]
        if new:
            front = np.vstack([front, *new])
            front = front[non_dominated(front)]
            value = max(value, _volume(front - reference))
        curve.append((trial.number, value))
    return curve


def _is_dominated(point: NDArray[np.float64], front: NDArray[np.float64]) -> bool:
    return bool((front >= point).all(axis=1).any())


def _volume(points: NDArray[np.float64]) -> float:
    """Return the hypervolume of points with the origin as reference point, by slices along the last objective.

    Args:
        points: `n x m` positive values; larger is better.

    References:
        J. D. Knowles. Local-Search and Hybrid Evolutionary Algorithms for Pareto Optimization. PhD thesis, University
        of Reading, 2002 (hypervolume by slicing objectives).
    """
    if points.shape[1] == 1:
        return float(points.max())
    points = points[np.argsort(-points[:, -1], kind="stable")]
    heights = points[:, -1] - np.append(points[1:, -1], 0.0)
    if points.shape[1] == 2:
        return float(np.maximum.accumulate(points[:, 0]) @ heights)
    return sum(
        float(height) * _volume(points[: count + 1, :-1]) for count, height in enumerate(heights) if height > 0.0
    )
