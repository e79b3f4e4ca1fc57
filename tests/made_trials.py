"""Trials as a search leaves them, made by hand."""

from collections.abc import Mapping
from dataclasses import replace

from aebnas_bo.estimation.estimate import OperatingPoint
from aebnas_bo.search.trial import Trial
from aebnas_bo.space.search_space import Point


def completed(
    number: int, key: str, parameters: Point, metrics: Mapping[str, float], **figures: Mapping[str, float]
) -> Trial:
    """A trial completed at its own thresholds; `figures` are other fields of its operating point."""
    point = OperatingPoint(metrics, figures.pop("sems", {}), **figures)
    return Trial(number, key, "COMPLETED", parameters, points=(point,))


def with_metrics(trial: Trial, **metrics: float) -> Trial:
    """The trial with other, certain metrics as proposed."""
    first, *further = trial.points
    sems = {**dict.fromkeys(metrics, 0.0), **first.sems}
    return replace(trial, points=(replace(first, metrics={**first.metrics, **metrics}, sems=sems), *further))


def with_further(trial: Trial, *points: OperatingPoint) -> Trial:
    """The trial with further operating points."""
    return replace(trial, points=(trial.points[0], *points))
