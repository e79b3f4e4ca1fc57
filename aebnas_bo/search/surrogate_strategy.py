"""Our search behind the `Strategy` protocol: an Ax client told of trials in a fixed order, with fallbacks."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from aebnas_bo.config import SearchConfig
from aebnas_bo.search.ax_strategy import AxClient, ax_client, one_thread
from aebnas_bo.search.objectives import Objective
from aebnas_bo.search.strategy import Proposal
from aebnas_bo.search.trial import Trial, completed_settings
from aebnas_bo.seeding import child_seed, numpy_generator
from aebnas_bo.space.search_space import ParameterValue, SearchSpace
from surrogates.known_costs import KnownCosts

logger = logging.getLogger(__name__)

FALLBACKS = ("second attempt", "surrogates not fitted", "drawn at random")  # what takes a failed proposal's place


class SurrogateStrategy:
    """Our strategy behind the `Strategy` protocol; any state it keeps can be rebuilt from the trials.

    Args:
        space: What to search.
        objectives: Metrics, directions and reference point.
        settings: Settings of the search.
        seed: Seed of everything drawn.
        known_costs: Range of one metric at every point, or `None`.
        has_fit: Whether surrogates are fitted; otherwise their hyper-parameters stay at what is likely beforehand.
    """

    def __init__(
        self,
        space: SearchSpace,
        objectives: Sequence[Objective],
        settings: SearchConfig,
        seed: int,
        known_costs: KnownCosts | None = None,
        has_fit: bool = True,
    ) -> None:
        self._space, self._objectives, self._settings, self._seed = space, tuple(objectives), settings, seed
        self._known_costs, self._has_fit = known_costs, has_fit
        self._client: AxClient | None = None
        self._indices: dict[int, int] = {}
        self._told: set[int] = set()
        self._num_further = 0
        self._seen: set[str] = set()

    def propose(self, trials: Sequence[Trial], number: int) -> Proposal:
        """Propose the point of a trial.

        If that fails numerically or repeats itself, it is tried once more with other random numbers, then with
        surrogates that are not fitted, before a random new point is drawn.
        """
        tried = {self._space.key(trial.parameters) for trial in trials}
        reason = ""
        for attempt, fallback in enumerate(("", *FALLBACKS[:-1])):
            try:
                with one_thread():
                    return Proposal(self._attempt(attempt, trials, tried), fallback, reason)
            except Exception as error:  # a search must survive any numerical failure of a library below it
                reason = reason or f"{type(error).__name__}: {error}"
                logger.warning("trial %d: no proposal (%s: %s)", number, type(error).__name__, error)
                self._client = None  # rebuilt from the trials next time, as a resumed study would
        logger.warning("trial %d is drawn at random", number)
        return Proposal(self._random_point(number, tried), FALLBACKS[-1], reason)

    def _attempt(self, attempt: int, trials: Sequence[Trial], tried: set[str]) -> dict[str, ParameterValue]:
        number = len(trials)
        if attempt == 0:
            client = self._synchronised_client(trials)
        else:  # with a client of its own, so that later proposals depend on the trials alone
            other = SurrogateStrategy(
                self._space,
                self._objectives,
                self._settings,
                child_seed(self._seed, "attempt", attempt),
                self._known_costs,
                has_fit=attempt == 1,
            )
            client = other._synchronised_client(trials)
        [(index, raw)] = client.get_next_trials(max_trials=1).items()
        parameters = self._space.canonical(raw)
        if self._space.key(parameters) in tried:
            raise RuntimeError("the proposal repeats an earlier trial")
        if attempt == 0:
            self._indices[number] = index
        return parameters

    def _synchronised_client(self, trials: Sequence[Trial]) -> AxClient:
        """Tell the client what it does not know yet, in the one order that a client rebuilt later would be told in.

        Further settings wait until the design is complete, whose end Ax sees by the number of its trials.
        """
        if self._client is None:
            self._client = ax_client(
                self._space, self._objectives, self._settings, self._seed, self._known_costs, has_fit=self._has_fit
            )
            self._indices, self._told, self._num_further, self._seen = {}, set(), 0, set()
        for trial in trials:
            if trial.number >= self._settings.design_trials:
                self._tell_further(self._client, trials[: trial.number])
            if trial.number not in self._indices:
                self._indices[trial.number] = self._client.attach_trial(dict(trial.parameters))
            if trial.number not in self._told and trial.status != "RUNNING":
                self._tell(self._client, self._indices[trial.number], trial)
                self._told.add(trial.number)
                self._seen.add(self._space.key(trial.parameters))
        if len(trials) >= self._settings.design_trials:
            self._tell_further(self._client, trials)
        return self._client

    def _tell_further(self, client: AxClient, trials: Sequence[Trial]) -> None:
        for trial in trials[self._num_further :]:
            for observed in completed_settings([trial])[1:]:
                key = self._space.key(observed.parameters)
                if key not in self._seen:  # another trial of the same network brought it already
                    self._tell(client, client.attach_trial(dict(observed.parameters)), observed)
                    self._seen.add(key)
        self._num_further = max(self._num_further, len(trials))

    def _tell(self, client: AxClient, index: int, trial: Trial) -> None:
        if trial.status == "COMPLETED":
            names = [objective.name for objective in self._objectives]
            client.complete_trial(index, raw_data={name: (trial.metrics[name], trial.sems[name]) for name in names})
        else:
            client.mark_trial_failed(index)

    def _random_point(self, number: int, tried: set[str]) -> dict[str, ParameterValue]:
        generator = numpy_generator(self._seed, "fallback", number)
        for _ in range(1000):
            point = self._space.sample(generator)
            if self._space.key(point) not in tried:
                break
        return point
