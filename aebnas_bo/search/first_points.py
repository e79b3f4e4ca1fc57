"""Strategy that proposes given points first and then delegates to another strategy."""

from __future__ import annotations

from collections.abc import Sequence

from aebnas_bo.search.strategy import Proposal, Strategy
from aebnas_bo.search.trial import Trial
from aebnas_bo.space.search_space import ParameterValue


class FirstPoints:
    """Proposes given points, one per trial, and then delegates to another strategy, which sees their results.

    Args:
        points: Distinct canonical points, at most as many as the initial design has trials.
        strategy: Strategy that proposes all later trials.
    """

    def __init__(self, points: Sequence[dict[str, ParameterValue]], strategy: Strategy) -> None:
        self._points = list(points)
        self._strategy = strategy

    def propose(self, trials: Sequence[Trial], count: int) -> list[Proposal]:
        """Return the next points."""
        given = [Proposal(point) for point in self._points[len(trials) : len(trials) + count]]
        return given or self._strategy.propose(trials, count)
