"""Replay of a study's trials into an Ax client in a fixed order, so that a rebuilt client makes equal proposals.

The order is that of a client which was there from the start: before each trial is attached, the client learns the
results that were known when the trial was proposed. In batches these are the results of all earlier batches; in an
asynchronous study, those of all earlier trials but the ones in `Trial.pending`.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from aebnas_bo.search.ax_strategy import MetricValues, StudyClient
from aebnas_bo.search.further_points import nearest_to_front, num_allowed
from aebnas_bo.search.objectives import Objective, optimized, to_maximize
from aebnas_bo.search.strategy import batch_start
from aebnas_bo.search.trial import Observation, Trial, observations
from aebnas_bo.space.search_space import ParameterValue, SearchSpace


class ReplayedClient:
    """Keeps an Ax client in step with a study.

    Args:
        client: A client without trials.
        space: The search space.
        objectives: The metrics to pass to the client.
        design_trials: Trials of the initial design. Further operating points are passed on only after it, because Ax
            counts trials to find its end.
        batch_size: Trials proposed together after the initial design.
        is_asynchronous: Whether trials were proposed while others ran.
    """

    def __init__(
        self,
        client: StudyClient,
        space: SearchSpace,
        objectives: Sequence[Objective],
        *,
        design_trials: int,
        batch_size: int = 1,
        is_asynchronous: bool = False,
    ) -> None:
        self._client = client
        self._space, self._objectives, self._design_trials = space, tuple(objectives), design_trials
        self._batch_size, self._is_asynchronous = batch_size, is_asynchronous
        self._indices: dict[int, int] = {}
        self._results: dict[int, MetricValues] = {}  # by index; passed on together, before the next request
        self._told: dict[int, Trial] = {}  # in the order in which they were told
        self._num_further = 0  # trials whose further operating points were passed on
        self._further_told = 0
        self._metrics = np.empty((0, len(optimized(self._objectives))))  # of the operating points of these trials
        self._seen: set[str] = set()

    def is_ahead_of(self, trials: Sequence[Trial]) -> bool:
        """Whether the client knows points or results that are not in these trials; they would change its proposals."""
        if len(self._indices) > len(trials):
            return True
        return any(trials[number].status == "RUNNING" for number in self._told)

    def ask(self, trials: Sequence[Trial], count: int) -> list[dict[str, ParameterValue]]:
        """Pass new results to the client and return up to `count` canonical points for the next trials.

        Args:
            trials: All earlier trials; those that are RUNNING are pending points.
            count: Number of points.
        """
        for trial in trials:
            if trial.number not in self._indices:
                self._tell_known(trials[: trial.number], trial.pending, is_past=True)
                self._indices[trial.number] = self._client.attach_trial(dict(trial.parameters))
        self._tell_known(trials, (), is_past=False)
        if self._results:
            self._client.complete_trials(self._results)
        self._results = {}
        asked = self._client.get_next_trials(max_trials=count)
        for number, index in enumerate(asked, start=len(trials)):
            self._indices[number] = index
        return [self._space.canonical(raw) for raw in asked.values()]

    def _tell_known(self, trials: Sequence[Trial], pending: Sequence[int], *, is_past: bool) -> None:
        """Tell the results that are known when the next trial is proposed.

        Args:
            trials: All trials before it.
            pending: Those that were running then, in an asynchronous study.
            is_past: Whether it has been proposed already. In batches, its first trial was proposed with the results of
                the earlier batches only.
        """
        num_known = len(trials)
        if is_past and not self._is_asynchronous:
            num_known = batch_start(num_known, self._design_trials, self._batch_size)
        for trial in trials[:num_known]:
            if trial.number in self._told or trial.number in pending:
                continue
            if trial.status != "RUNNING":
                self._told[trial.number] = trial
                self._tell(self._indices[trial.number], trial)
                self._seen.add(self._space.key(trial.parameters))
            elif not self._is_asynchronous:
                break  # during the design; told in the order of their numbers, whatever order they end in
        if num_known >= self._design_trials:
            self._tell_further()

    def _tell_further(self) -> None:
        for number, trial in enumerate([*self._told.values()][self._num_further :], start=self._num_further):
            observed = observations([trial])
            metrics = to_maximize([one.metrics for one in observed], self._objectives)
            self._metrics = np.concatenate([self._metrics, metrics])
            # Another trial of the same network may have added a point already.
            new = {key: one for one in observed[1:] if (key := self._space.key(one.parameters)) not in self._seen}
            room = num_allowed(number + 1) - self._further_told
            for one in nearest_to_front([*new.values()], self._metrics, self._objectives, count=room):
                self._further_told += 1
                self._complete(self._client.attach_trial(dict(one.parameters)), one)
                self._seen.add(self._space.key(one.parameters))
        self._num_further = len(self._told)

    def _tell(self, index: int, trial: Trial) -> None:
        if trial.status == "COMPLETED":
            self._complete(index, Observation(trial))
        else:
            self._client.mark_trial_abandoned(index)  # Ax may suggest a point again that was marked failed

    def _complete(self, index: int, observed: Observation) -> None:
        names = [objective.name for objective in self._objectives]
        self._results[index] = {name: (observed.metrics[name], observed.sems[name]) for name in names}
