"""Ax as it comes: the peer our engine inside Ax is held against."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from aebnas_bo.search.ax_strategy import ax_default_client, one_thread
from aebnas_bo.search.objectives import Objective
from aebnas_bo.search.random_strategy import new_random_points
from aebnas_bo.search.replayed_client import ReplayedClient
from aebnas_bo.search.settings import SearchConfig
from aebnas_bo.search.strategy import Proposal
from aebnas_bo.search.trial import Trial
from aebnas_bo.space.search_space import SearchSpace


class AxDefaultStrategy:
    """Ax's own choice of design, models and acquisition; it learns of the trials alone.

    Its proposals repeat networks where a switched-off parameter differs, and take minutes in spaces of many genes.

    Args:
        space: What to search.
        objectives: Metrics, directions and reference point.
        settings: Size of the design and of batches.
        seed: Seed of everything drawn.
    """

    def __init__(
        self, space: SearchSpace, objectives: Sequence[Objective], settings: SearchConfig, *, seed: int
    ) -> None:
        self._space, self._seed = space, seed
        self._client = ReplayedClient(
            ax_default_client(space, objectives, settings, seed=seed),
            space,
            objectives,
            design_trials=settings.design_trials,
            batch_size=settings.batch_size,
        )

    def propose(self, trials: Sequence[Trial], count: int) -> list[Proposal]:
        """Propose what Ax generates; random points stand in for those it does not."""
        with one_thread():
            points = self._client.ask([replace(trial, further=()) for trial in trials], count)
        tried = {self._space.key(point) for point in (*(trial.parameters for trial in trials), *points)}
        first, missing = len(trials) + len(points), count - len(points)
        drawn = new_random_points(self._space, self._seed, first=first, count=missing, tried=tried)
        reason = "Ax generated fewer points than asked for"
        return [*map(Proposal, points), *(Proposal(point, "drawn at random", reason) for point in drawn)]
