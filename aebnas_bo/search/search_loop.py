"""Ask, evaluate, store: the loop that owns a study's trials, with one worker or many."""

from __future__ import annotations

import logging
import time
from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import replace

from aebnas_bo.errors import LostTrialError, SpaceExhaustedError, TooManyFailedTrialsError
from aebnas_bo.estimation.estimator import Estimator
from aebnas_bo.execution.executor import Outcome, Ticket
from aebnas_bo.execution.serial_executor import SerialExecutor
from aebnas_bo.search.settings import SearchConfig
from aebnas_bo.search.strategy import Strategy, batch_start
from aebnas_bo.search.trial import Trial
from aebnas_bo.search.trial_check import check_points
from aebnas_bo.search.trial_evaluation import Evaluation, evaluate_trial
from aebnas_bo.search.trial_store import TrialStore
from aebnas_bo.space.search_space import SearchSpace
from aebnas_bo.storage.count_text import counted

logger = logging.getLogger(__name__)

OnTrial = Callable[[Sequence[Trial]], None]

POLL_S = 1.0  # seconds between two looks at workers
RENEWALS_PER_LEASE = 3


def run_search(
    store: TrialStore,
    strategy: Strategy,
    estimator: Estimator | Evaluation,
    *,
    settings: SearchConfig,
    on_trial: OnTrial,
    is_time_up: Callable[[], bool] = lambda: False,
) -> list[Trial]:
    """Run a study until its budget or its time is spent.

    Every trial is stored as RUNNING before its evaluation. A trial found RUNNING was interrupted and is evaluated again
    at the same point. A trial whose worker is lost is given to another worker.

    With several workers, the next batch of trials is proposed once all trials before it are finished; if
    `settings.proposals` is `asynchronous`, a trial is proposed for every free worker, and the trials that run meanwhile
    are stored with it (`Trial.pending`).

    The time limit is ignored until one trial is completed.

    Args:
        store: The study's store, empty or not. A trial whose metrics are not finite or out of bounds fails.
        strategy: Strategy that proposes points.
        estimator: Estimator that evaluates points in this process, or workers that evaluate them.
        settings: Budget and number of failures allowed.
        on_trial: Called with all finished trials at the start and after each trial.
        is_time_up: Called before each batch of trials; the search ends when it returns true.

    Returns:
        All trials.

    Raises:
        TooManyFailedTrialsError: If more than `settings.max_failed_trials` failed.
        SpaceExhaustedError: If every point of the space has a trial, and the budget is not spent.
        StorageError: If reading or writing fails; the current trial stays RUNNING.
        OutOfMemoryError: If memory runs out; the current trial stays RUNNING.
        CorruptStateError: If stored trials are damaged or belong to another space.
        ExecutionError: If no worker is left; running trials stay RUNNING.
    """
    objectives = store.study.objectives
    if isinstance(estimator, Evaluation):
        evaluation = estimator
    else:
        here = SerialExecutor[Trial, Trial](lambda trial: evaluate_trial(trial, estimator, objectives))
        evaluation = Evaluation(estimator.search_space, here)
    search = _Search(store, strategy, evaluation, settings=settings, is_time_up=is_time_up)
    on_trial(search.finished)
    while search.start_trials():
        has_ended = [search.end(outcome) for outcome in evaluation.executor.wait(POLL_S)]
        if any(has_ended):
            _check_failures(search.finished, settings)
            on_trial(search.finished)
    return search.trials


def propose_trials(strategy: Strategy, trials: Sequence[Trial], settings: SearchConfig) -> list[Trial]:
    """Return the next trials to evaluate: the rest of the current batch.

    Args:
        strategy: Strategy that proposes points.
        trials: All earlier trials. Those of earlier batches are completed or failed; while a trial of the initial
            design or an asynchronous one is proposed, some may be running.
        settings: Sizes of the initial design and of batches.
    """
    start = batch_start(len(trials), settings.design_trials, settings.batch_size)
    count = settings.batch_size if start >= settings.design_trials else 1
    pending = tuple(trial.number for trial in trials if trial.status == "RUNNING") if settings.is_asynchronous else ()
    started = time.perf_counter()
    proposals = strategy.propose(trials[:start], count)
    seconds = (time.perf_counter() - started) / count
    return [
        Trial(
            number=number,
            key="",
            status="RUNNING",
            parameters=proposal.parameters,
            reason=f"{proposal.fallback}: {proposal.reason}" if proposal.fallback else "",
            generation_s=seconds,
            pending=pending,
        )
        for number, proposal in list(enumerate(proposals, start=start))[len(trials) - start :]
    ]


class _Search:
    """State of a running search: stored trials, those that run, and those that wait for a worker."""

    def __init__(
        self,
        store: TrialStore,
        strategy: Strategy,
        evaluation: Evaluation,
        *,
        settings: SearchConfig,
        is_time_up: Callable[[], bool],
    ) -> None:
        self._store, self._strategy, self._evaluation = store, strategy, evaluation
        self._settings, self._is_time_up = settings, is_time_up
        self._is_over = False
        self.trials = store.trials()
        check_points(self.trials, evaluation.search_space, store.origin)
        _check_failures(self.finished, settings)
        self._proposed: deque[Trial] = deque()  # not stored yet
        self._again = deque(trial for trial in self.trials if trial.status == "RUNNING")
        self._running: dict[int, Ticket] = {}
        self._num_lost: Counter[int] = Counter()
        self._renewed = time.monotonic()
        for trial in self._again:
            logger.info("trial %d was interrupted and is evaluated again", trial.number)

    @property
    def finished(self) -> list[Trial]:
        """The completed and failed trials, in order of their numbers."""
        return [trial for trial in self.trials if trial.status != "RUNNING"]

    def start_trials(self) -> bool:
        """Give a trial to every free worker, and return whether to wait: for a running trial, or for a worker."""
        executor = self._evaluation.executor
        self._renew_leases()
        while (worker := executor.free_worker) is not None:
            trial = self._next()
            if trial is None:
                return bool(self._running)
            self.trials[trial.number] = trial = self._claimed(trial, worker)
            self._running[trial.number] = ticket = Ticket(trial.number, trial.attempt)
            executor.submit(ticket, trial)
        may_propose = len(self.trials) < self._settings.budget and not self._is_over
        return bool(self._running or self._again or self._proposed or may_propose)

    def _renew_leases(self) -> None:
        """Renew the stored leases of running trials; the executor finds out whether their workers live."""
        now = time.monotonic()
        if self._evaluation.has_workers and now - self._renewed > self._evaluation.lease_s / RENEWALS_PER_LEASE:
            self._renewed = now
            for ticket in self._running.values():
                self._store.renew(ticket.number, ticket.attempt, self._evaluation.lease_s)

    def end(self, outcome: Outcome[Trial]) -> bool:
        """Store the outcome of an attempt, and return whether its trial is finished."""
        number = outcome.ticket.number
        if self._running.get(number) != outcome.ticket:
            logger.warning("trial %d: a late answer of %s is refused", number, outcome.worker)
            return False
        del self._running[number]
        ended = outcome.result
        if ended is None:
            ended = self._without_result(self.trials[number], outcome)
            if ended.status == "RUNNING":
                self._again.append(ended)
                return False
        self._store.finish(ended)
        self.trials[number] = ended
        return True

    def _without_result(self, trial: Trial, outcome: Outcome[Trial]) -> Trial:
        """Return the trial as failed if enough workers were lost with it, otherwise as it is."""
        logger.warning("trial %d: %s was lost (%s)", trial.number, outcome.worker, outcome.lost or outcome.error)
        self._num_lost[trial.number] += 1
        if self._num_lost[trial.number] < self._evaluation.max_attempts:
            return trial
        if outcome.error is not None:
            raise outcome.error
        reason = f"{counted(self._num_lost[trial.number], 'worker')} lost with it, the last one: {outcome.lost}"
        return replace(trial, status="FAILED", reason=reason)

    def _next(self) -> Trial | None:
        """Return the next trial for a worker, stored as RUNNING; `None` if there is none at present."""
        if self._again:
            trial = self._again.popleft()
        else:
            if not self._proposed and self._may_propose():
                room = self._settings.budget - len(self.trials)
                self._proposed.extend(propose_trials(self._strategy, self.trials, self._settings)[:room])
            if not self._proposed:
                return None
            trial = self._proposed.popleft()
            self._store.add_running(trial)
            self.trials.append(trial)
        return trial

    def _claimed(self, trial: Trial, worker: str) -> Trial:
        """Return a stored trial as claimed for a worker; a search in one process has no workers."""
        if not self._evaluation.has_workers:
            return trial
        if trial.attempt:  # an earlier attempt is over, whatever its lease says: this process is the only proposer
            self._store.renew(trial.number, trial.attempt, 0.0)
        claimed = self._store.claim(worker, self._evaluation.lease_s, number=trial.number)
        if claimed is None:
            raise LostTrialError(f"trial {trial.number} was taken over by another process; end it, and resume")
        return claimed

    def _may_propose(self) -> bool:
        if len(self.trials) >= self._settings.budget or self._must_wait():
            return False
        self._is_over = self._is_over or (self._is_time_up() and _has_completed(self.trials))
        return not self._is_over and _has_points_left(self.trials, self._evaluation.search_space)

    def _must_wait(self) -> bool:
        """Whether the next proposal needs the results of running trials."""
        if self._settings.is_asynchronous:
            return False
        number = len(self.trials)
        if number < self._settings.design_trials and self._settings.strategy != "given":
            return False  # our strategies have designs that do not depend on results
        first = batch_start(number, self._settings.design_trials, self._settings.batch_size)
        return any(running < first for running in self._running)


def _has_completed(trials: Sequence[Trial]) -> bool:
    return any(trial.status == "COMPLETED" for trial in trials)


def _has_points_left(trials: Sequence[Trial], space: SearchSpace) -> bool:
    """Return whether a point is left; an error if none is, and all results are stored."""
    points = space.num_points
    if points is None or len(trials) < points or len({space.key(one.parameters) for one in trials}) < points:
        return True
    if any(trial.status == "RUNNING" for trial in trials):
        return False
    raise SpaceExhaustedError(
        f"all {counted(points, 'point')} of the search space have a trial, and all results are stored; set "
        f"search.budget = {len(trials)} to end the search here, or declare a larger space"
    )


def _check_failures(trials: Sequence[Trial], settings: SearchConfig) -> None:
    failed = [trial for trial in trials if trial.status == "FAILED"]
    if len(failed) > settings.max_failed_trials:
        raise TooManyFailedTrialsError(
            f"{len(failed)} of {counted(len(trials), 'trial')} failed, more than search.max_failed_trials = "
            f"{settings.max_failed_trials}; remove the cause and resume with a larger search.max_failed_trials; the "
            f"last one: {failed[-1].reason}"
        )
