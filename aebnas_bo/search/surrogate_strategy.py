"""Our default strategy: Gaussian processes and qLogNEHVI inside Ax, with fallbacks."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from itertools import islice

from aebnas_bo.execution.cpu import one_thread
from aebnas_bo.search.ax_strategy import ax_client
from aebnas_bo.search.design import sobol_points
from aebnas_bo.search.machine_failures import machine_failure
from aebnas_bo.search.objectives import Objective
from aebnas_bo.search.random_strategy import new_random_points
from aebnas_bo.search.replayed_client import ReplayedClient
from aebnas_bo.search.settings import FEWEST_DESIGN_TRIALS, SearchConfig
from aebnas_bo.search.strategy import FALLBACKS, Proposal
from aebnas_bo.search.trial import Trial
from aebnas_bo.seeding import child_seed
from aebnas_bo.space.search_space import ParameterValue, SearchSpace
from surrogates.known_costs import KnownCosts

logger = logging.getLogger(__name__)


class SurrogateStrategy:
    """Strategy that maximises qLogNEHVI over Gaussian processes; its state can be rebuilt from the trials.

    Args:
        space: Search space.
        objectives: Metrics, directions, limits and reference point.
        settings: Settings of the search.
        seed: Random seed.
        known_costs: Costs that can be computed for every point.
    """

    def __init__(
        self,
        space: SearchSpace,
        objectives: Sequence[Objective],
        settings: SearchConfig,
        *,
        seed: int,
        known_costs: Sequence[KnownCosts] = (),
    ) -> None:
        self._space, self._objectives, self._seed = space, tuple(objectives), seed
        self._settings = settings.for_space(space)
        self._known_costs = known_costs
        self._client: ReplayedClient | None = None

    def propose(self, trials: Sequence[Trial], count: int) -> list[Proposal]:
        """Propose the points of the next trials.

        In an asynchronous study, the initial design goes on until enough trials are completed.

        If proposing fails numerically or repeats a point, it is tried again with other random numbers, then with
        surrogates that are not fitted. If these fail too, random new points are drawn.

        Raises:
            OutOfMemoryError: If memory runs out.
        """
        tried = {self._space.key(trial.parameters) for trial in trials}
        if self._design_goes_on(trials):
            return [Proposal(point) for point in self._design_points(len(trials), count, tried)]
        reason = ""
        for attempt, fallback in enumerate(("", *FALLBACKS[:-1])):
            try:
                with one_thread():
                    points = self._attempt(attempt, trials, count=count, tried=tried)
                return [Proposal(point, fallback, reason) for point in points]
            except Exception as error:  # a search must survive every numerical failure in a library
                if (failure := machine_failure(error)) is not None:
                    raise failure from error  # a fallback proposal would change the search
                reason = reason or f"{type(error).__name__}: {error}"
                logger.warning("trial %d: no proposal (%s: %s)", len(trials), type(error).__name__, error)
                self._client = None  # rebuilt from the trials next time, as a resumed study would
        logger.warning("trials from %d on are drawn at random: %d", len(trials), count)
        seed = child_seed(self._seed, "fallback")
        drawn = new_random_points(self._space, seed, first=len(trials), count=count, tried=tried)
        return [Proposal(point, FALLBACKS[-1], reason) for point in drawn]

    def _design_goes_on(self, trials: Sequence[Trial]) -> bool:
        """Whether the design has been proposed, but too few of its results are there because trials still run."""
        num_completed = sum(trial.status == "COMPLETED" for trial in trials)
        is_running = any(trial.status == "RUNNING" for trial in trials)
        return is_running and len(trials) >= self._settings.design_trials and num_completed < FEWEST_DESIGN_TRIALS

    def _design_points(self, first: int, count: int, tried: set[str]) -> list[dict[str, ParameterValue]]:
        """Return points of the design that are new, from the given number on, and random ones if there are too few."""
        design = islice(sobol_points(self._space, child_seed(self._seed, "design")), first, None)
        points = [*islice((point for point in design if self._space.key(point) not in tried), count)]
        known = {*tried, *map(self._space.key, points)}
        missing = count - len(points)
        return points + new_random_points(
            self._space, self._seed, first=first + len(points), count=missing, tried=known
        )

    def _attempt(
        self, attempt: int, trials: Sequence[Trial], *, count: int, tried: set[str]
    ) -> list[dict[str, ParameterValue]]:
        if attempt == 0:
            if self._client is not None and self._client.is_ahead_of(trials):
                self._client = None
            self._client = client = self._client or self._new_client(self._seed, has_fit=True)
        else:  # a separate client, so that later proposals depend only on the trials
            client = self._new_client(child_seed(self._seed, "attempt", attempt), has_fit=attempt == 1)
        points = client.ask(trials, count)
        keys = [self._space.key(point) for point in points]
        if len(points) < count or len(set(keys)) < count or tried.intersection(keys):
            raise RuntimeError("a proposal is missing, or repeats another or an earlier trial")
        return points

    def _new_client(self, seed: int, has_fit: bool) -> ReplayedClient:
        return ReplayedClient(
            ax_client(
                self._space, self._objectives, self._settings, seed=seed, known_costs=self._known_costs, has_fit=has_fit
            ),
            self._space,
            self._objectives,
            design_trials=self._settings.design_trials,
            batch_size=self._settings.batch_size,
            is_asynchronous=self._settings.is_asynchronous,
        )
