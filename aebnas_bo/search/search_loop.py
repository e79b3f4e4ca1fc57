"""Ask, evaluate, store: the loop that owns a study's trials."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import replace

from aebnas_bo.errors import SpaceExhaustedError, TooManyFailedTrialsError, error_text, one_line
from aebnas_bo.estimation.estimate import Estimate, OperatingPoint
from aebnas_bo.estimation.estimator import Estimator
from aebnas_bo.search.machine_failures import machine_failure
from aebnas_bo.search.objectives import Objective
from aebnas_bo.search.settings import SearchConfig
from aebnas_bo.search.strategy import Strategy, batch_start
from aebnas_bo.search.trial import Trial
from aebnas_bo.search.trial_check import check_points, estimate_problems, plain_point, point_problems
from aebnas_bo.search.trial_store import TrialStore
from aebnas_bo.space.search_space import SearchSpace
from aebnas_bo.storage.count_text import counted

logger = logging.getLogger(__name__)

OnTrial = Callable[[Sequence[Trial]], None]


def run_search(
    store: TrialStore,
    strategy: Strategy,
    estimator: Estimator,
    *,
    settings: SearchConfig,
    on_trial: OnTrial,
    is_time_up: Callable[[], bool] = lambda: False,
) -> list[Trial]:
    """Run a study until its budget or its time is spent.

    Every trial is stored as RUNNING before its evaluation. A trial found RUNNING was interrupted and is evaluated again
    at the same point.

    The time limit is ignored until one trial is completed.

    Args:
        store: The study's store, empty or not. A trial whose metrics are not finite or out of bounds fails.
        strategy: Strategy that proposes points.
        estimator: Estimator that evaluates points.
        settings: Budget and number of failures allowed.
        on_trial: Called with all trials after each trial.
        is_time_up: Called before each batch of trials; the search ends when it returns true.

    Returns:
        All trials.

    Raises:
        TooManyFailedTrialsError: If more than `settings.max_failed_trials` failed.
        SpaceExhaustedError: If every point of the space has a trial, and the budget is not spent.
        StorageError: If reading or writing fails; the current trial stays RUNNING.
        OutOfMemoryError: If memory runs out; the current trial stays RUNNING.
        CorruptStateError: If stored trials are damaged or belong to another space.
    """
    trials, objectives = store.trials(), store.study.objectives
    check_points(trials, estimator.search_space, store.origin)
    for position, trial in enumerate(trials):
        if trial.status == "RUNNING":
            logger.info("trial %d was interrupted and is evaluated again", trial.number)
            trials[position] = evaluate_trial(trial, estimator, objectives)
            store.finish(trials[position])
    _check_failures(trials, settings)
    on_trial(trials)
    while len(trials) < settings.budget and not (is_time_up() and _has_completed(trials)):
        _check_points_left(trials, estimator.search_space)
        for trial in propose_trials(strategy, trials, settings)[: settings.budget - len(trials)]:
            store.add_running(trial)
            trials.append(evaluate_trial(trial, estimator, objectives))
            store.finish(trials[-1])
            _check_failures(trials, settings)
            on_trial(trials)
    return trials


def propose_trials(strategy: Strategy, trials: Sequence[Trial], settings: SearchConfig) -> list[Trial]:
    """Return the next trials to evaluate: the rest of the current batch.

    Args:
        strategy: Strategy that proposes points.
        trials: All earlier trials, each completed or failed.
        settings: Sizes of the initial design and of batches.
    """
    start = batch_start(len(trials), settings.design_trials, settings.batch_size)
    count = settings.batch_size if start >= settings.design_trials else 1
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
        )
        for number, proposal in list(enumerate(proposals, start=start))[len(trials) - start :]
    ]


def evaluate_trial(trial: Trial, estimator: Estimator, objectives: Sequence[Objective]) -> Trial:
    """Evaluate a trial's point and return the trial as completed, or as failed with a reason.

    Raises:
        StorageError: If reading or writing fails, for example because the disk is full or the database locked.
        OutOfMemoryError: If memory runs out.
    """
    started = time.perf_counter()
    try:
        estimate = estimator.estimate(dict(trial.parameters))  # a copy, which an estimator may change
        ended = _ended(trial, estimate, estimator.search_space, objectives=objectives)
    except Exception as error:  # an exception in a user's estimator fails one trial, not the search
        if (failure := machine_failure(error)) is not None:
            raise failure from error  # not caused by the network; the trial is evaluated again on resuming
        logger.warning("trial %d failed", trial.number, exc_info=logger.isEnabledFor(logging.DEBUG))
        ended = replace(trial, status="FAILED", reason=error_text(error))
    return replace(ended, evaluation_s=time.perf_counter() - started)


def _ended(trial: Trial, estimate: Estimate, space: SearchSpace, *, objectives: Sequence[Objective]) -> Trial:
    """Return a trial completed with its estimate, or failed with the problems of the estimate."""
    points: tuple[OperatingPoint, ...] = ()
    problems = estimate_problems(estimate)
    if not problems:
        points = tuple(map(plain_point, estimate.points))
        problems = point_problems(points, objectives)
    if problems:
        return replace(trial, status="FAILED", reason=one_line("; ".join(problems)))
    for further in points[1:]:
        space.validate({**trial.parameters, **further.thresholds})
    parameters = space.canonical(trial.parameters)
    return replace(trial, key=estimate.key, status="COMPLETED", parameters=parameters, points=points)


def _has_completed(trials: Sequence[Trial]) -> bool:
    return any(trial.status == "COMPLETED" for trial in trials)


def _check_points_left(trials: Sequence[Trial], space: SearchSpace) -> None:
    points = space.num_points
    if points is not None and len(trials) >= points and len({space.key(one.parameters) for one in trials}) >= points:
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
