"""The non-dominated trials, and those that meet the limits."""

from __future__ import annotations

from collections.abc import Sequence

from botorch.utils.multi_objective.pareto import is_non_dominated

from aebnas_bo.search.objectives import Objective, shortfall, to_maximize
from aebnas_bo.search.trial import Trial, completed_settings


def pareto_front(trials: Sequence[Trial], objectives: Sequence[Objective]) -> list[Trial]:
    """Return what is admissible and not dominated, cheapest first: trials as proposed or at further settings.

    Args:
        trials: Trials of any status.
        objectives: The objectives; the front is sorted by the first that is a cost.

    Returns:
        Non-dominated trials; of several with equal metrics, the earliest.
    """
    completed = admissible(completed_settings(trials), objectives)
    if not completed:
        return []
    mask = is_non_dominated(to_maximize([t.metrics for t in completed], objectives), deduplicate=True).tolist()
    front = [trial for trial, is_on_front in zip(completed, mask, strict=True) if is_on_front]
    cost = _first_cost(objectives)
    return sorted(front, key=lambda trial: trial.metrics[cost.name])


def _first_cost(objectives: Sequence[Objective]) -> Objective:
    return next((objective for objective in objectives if not objective.maximize), objectives[-1])


def admissible(trials: Sequence[Trial], objectives: Sequence[Objective]) -> list[Trial]:
    """Return the completed trials that meet every limit of the objectives."""
    return [t for t in trials if t.status == "COMPLETED" and shortfall(t.metrics, objectives) == 0.0]


def nearest_to_admissible(trials: Sequence[Trial], objectives: Sequence[Objective]) -> Trial | None:
    """Return the observation that misses the limits by least, the cheapest of several; `None` if there is none."""
    completed = completed_settings(trials)
    cost = _first_cost(objectives)
    return min(
        completed, key=lambda t: (shortfall(t.metrics, objectives), -cost.sign * t.metrics[cost.name]), default=None
    )
