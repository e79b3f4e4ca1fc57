"""An Ax client that is told of a study's trials in one fixed order, so that one rebuilt later proposes the same."""

from __future__ import annotations

from collections.abc import Sequence

from aebnas_bo.search.ax_strategy import AxClient
from aebnas_bo.search.objectives import Objective
from aebnas_bo.search.strategy import batch_start
from aebnas_bo.search.trial import Trial, completed_settings
from aebnas_bo.space.search_space import ParameterValue, SearchSpace

MOST_FURTHER = 1000  # settings told beside the trials: a Gaussian process takes time cubic in what it is told


class ReplayedClient:
    """Keeps an Ax client in step with a study.

    Args:
        client: A client that knows of no trial.
        space: What is searched.
        objectives: The metrics the client is told of.
        design_trials: Trials before further settings are told, whose end Ax sees by counting trials.
        batch_size: Trials proposed together after those.
    """

    def __init__(
        self,
        client: AxClient,
        space: SearchSpace,
        objectives: Sequence[Objective],
        *,
        design_trials: int,
        batch_size: int = 1,
    ) -> None:
        self._client = client
        self._space, self._objectives, self._design_trials = space, tuple(objectives), design_trials
        self._batch_size = batch_size
        self._indices: dict[int, int] = {}
        self._told: set[int] = set()
        self._num_further = 0  # trials whose further settings were told
        self._further_told = 0
        self._seen: set[str] = set()

    def ask(self, trials: Sequence[Trial], count: int) -> list[dict[str, ParameterValue]]:
        """Tell the client what it does not know yet and return up to `count` canonical points of the next trials."""
        self._tell_all(trials)
        asked = self._client.get_next_trials(max_trials=count)
        for number, index in enumerate(asked, start=len(trials)):
            self._indices[number] = index
        return [self._space.canonical(raw) for raw in asked.values()]

    def _tell_all(self, trials: Sequence[Trial]) -> None:
        for trial in trials:
            start = batch_start(trial.number, self._design_trials, self._batch_size)
            if start >= self._design_trials:
                self._tell_further(trials[:start])
            if trial.number not in self._indices:
                self._indices[trial.number] = self._client.attach_trial(dict(trial.parameters))
            if trial.number not in self._told:
                self._tell(self._indices[trial.number], trial)
                self._told.add(trial.number)
                self._seen.add(self._space.key(trial.parameters))
        if len(trials) >= self._design_trials:
            self._tell_further(trials)

    def _tell_further(self, trials: Sequence[Trial]) -> None:
        for trial in trials[self._num_further :]:
            for observed in completed_settings([trial])[1:]:
                key = self._space.key(observed.parameters)
                # Another trial of the same network may have brought it already.
                if key not in self._seen and self._further_told < MOST_FURTHER:
                    self._further_told += 1
                    self._tell(self._client.attach_trial(dict(observed.parameters)), observed)
                    self._seen.add(key)
        self._num_further = max(self._num_further, len(trials))

    def _tell(self, index: int, trial: Trial) -> None:
        if trial.status == "COMPLETED":
            names = [objective.name for objective in self._objectives]
            raw_data = {name: (trial.metrics[name], trial.sems[name]) for name in names}
            self._client.complete_trial(index, raw_data=raw_data)
        else:
            self._client.mark_trial_abandoned(index)  # a point of a failed one Ax would ask for again
