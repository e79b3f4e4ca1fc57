"""Ax with its default strategy, as a baseline for our own."""

from __future__ import annotations

from collections.abc import Sequence

from aebnas_bo.execution.cpu import one_thread
from aebnas_bo.search.ax_strategy import ax_default_client
from aebnas_bo.search.objectives import Objective
from aebnas_bo.search.random_strategy import new_random_points
from aebnas_bo.search.replayed_client import ReplayedClient
from aebnas_bo.search.settings import SearchConfig
from aebnas_bo.search.strategy import Proposal
from aebnas_bo.search.trial import Trial, as_proposed
from aebnas_bo.space.search_space import SearchSpace


class AxDefaultStrategy:
    """Strategy that uses Ax's default design, models and acquisition function, fitted to the trials only.

    It may propose the same network twice if only switched-off parameters differ, and takes minutes per proposal in
    spaces with many parameters.

    Args:
        space: Search space.
        objectives: Metrics, directions and reference point.
        settings: Sizes of the initial design and of batches.
        seed: Random seed.
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
            is_asynchronous=settings.is_asynchronous,
        )

    def propose(self, trials: Sequence[Trial], count: int) -> list[Proposal]:
        """Return the points that Ax generates, and random points for those that it does not generate."""
        with one_thread():
            points = self._client.ask([as_proposed(trial) for trial in trials], count)
        tried = {self._space.key(point) for point in (*(trial.parameters for trial in trials), *points)}
        first, missing = len(trials) + len(points), count - len(points)
        drawn = new_random_points(self._space, self._seed, first=first, count=missing, tried=tried)
        reason = "Ax generated fewer points than requested"
        return [*map(Proposal, points), *(Proposal(point, "drawn at random", reason) for point in drawn)]
