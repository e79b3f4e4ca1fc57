"""Hypervolume of a set of trials and its curve over a study."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from botorch.utils.multi_objective.hypervolume import Hypervolume
from botorch.utils.multi_objective.pareto import is_non_dominated
from torch import Tensor

from aebnas_bo.analysis.pareto import admissible
from aebnas_bo.search.objectives import Objective, reference_to_maximize, to_maximize
from aebnas_bo.search.trial import Trial, observations


def hypervolume(trials: Sequence[Trial], objectives: Sequence[Objective], has_settings: bool = False) -> float:
    """Return the hypervolume of the admissible completed trials over the reference point, in natural units.

    Args:
        trials: Trials in order.
        objectives: Directions and reference point.
        has_settings: Whether further settings of the trials' thresholds count.
    """
    curve = hypervolume_curve(trials, objectives, has_settings)
    return curve[-1][1] if curve else 0.0


def hypervolume_curve(
    trials: Sequence[Trial], objectives: Sequence[Objective], has_settings: bool = False
) -> list[tuple[int, float]]:
    """Return the hypervolume after each trial.

    Args:
        trials: Trials in order; one that is not completed, or misses a limit, adds nothing.
        objectives: Directions and reference point.
        has_settings: Whether further settings of the trials' thresholds count.

    Returns:
        `(trial number, hypervolume)` per trial; the values never fall.
    """
    reference = reference_to_maximize(objectives)
    indicator = Hypervolume(ref_point=reference)
    front = torch.empty(0, len(objectives), dtype=torch.float64)
    curve: list[tuple[int, float]] = []
    value = 0.0
    for trial in trials:
        observed = observations([trial])
        counted = admissible(observed if has_settings else observed[:1], objectives)
        points = to_maximize([one.metrics for one in counted], objectives)
        new = [point for point in points if bool((point > reference).all()) and not _is_dominated(point, front)]
        if new:
            front = torch.cat([front, torch.stack(new)])
            front = front[is_non_dominated(front)]
            value = max(value, float(indicator.compute(front)))
        curve.append((trial.number, value))
    return curve


def _is_dominated(point: Tensor, front: Tensor) -> bool:
    return bool((front >= point).all(dim=-1).any())
