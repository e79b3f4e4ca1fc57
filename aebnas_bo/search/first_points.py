"""Given points first, then a strategy's own."""

from __future__ import annotations

from collections.abc import Sequence

from aebnas_bo.search.strategy import Proposal, Strategy
from aebnas_bo.search.trial import Trial
from aebnas_bo.space.search_space import ParameterValue


class FirstPoints:
    """Proposes given points, one a trial, before it asks another strategy, which learns from them.

    Args:
        points: Distinct canonical points; no more than the trials of the design.
        strategy: Proposes all later trials.
    """

    def __init__(self, points: Sequence[dict[str, ParameterValue]], strategy: Strategy) -> None:
        self._points = list(points)
        self._strategy = strategy

    def propose(self, trials: Sequence[Trial], count: int) -> list[Proposal]:
        """Return the next points."""
        given = [Proposal(point) for point in self._points[len(trials) : len(trials) + count]]
        return given or self._strategy.propose(trials, count)
