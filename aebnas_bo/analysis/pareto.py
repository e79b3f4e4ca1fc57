"""The non-dominated trials."""

from __future__ import annotations

from collections.abc import Sequence

from botorch.utils.multi_objective.pareto import is_non_dominated

from aebnas_bo.search.objectives import Objective, to_maximize
from aebnas_bo.search.trial import Trial, completed_settings


def pareto_front(trials: Sequence[Trial], objectives: Sequence[Objective]) -> list[Trial]:
    """Return what no other observation dominates, cheapest first: trials as proposed or at further settings.

    Args:
        trials: Trials of any status.
        objectives: The objectives; the front is sorted by the last of them.

    Returns:
        Non-dominated trials; of several with equal metrics, the earliest.
    """
    completed = completed_settings(trials)
    if not completed:
        return []
    mask = is_non_dominated(to_maximize([t.metrics for t in completed], objectives), deduplicate=True).tolist()
    front = [trial for trial, is_on_front in zip(completed, mask, strict=True) if is_on_front]
    return sorted(front, key=lambda trial: trial.metrics[objectives[-1].name])
