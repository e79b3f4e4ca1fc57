"""Ask, evaluate, store: the loop that owns a study's trials."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import astuple, replace

from aebnas_bo.early_exit.calibrated_output import Calibration
from aebnas_bo.errors import TooManyFailedTrialsError
from aebnas_bo.estimation.estimate import Estimate, OperatingPoint
from aebnas_bo.estimation.estimator import Estimator
from aebnas_bo.search.objectives import Objective
from aebnas_bo.search.settings import SearchConfig
from aebnas_bo.search.strategy import Strategy, batch_start
from aebnas_bo.search.trial import Trial
from aebnas_bo.search.trial_store import TrialStore
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
    """Continue a study until its budget, or its time, is spent.

    Every trial is stored as RUNNING before it is evaluated; one found RUNNING belongs to a process that died, and is
    evaluated again at the same point.

    At least one trial is completed, whatever the time.

    Args:
        store: The study's store, empty or not; the metrics of its study must be finite for a trial to count.
        strategy: Proposes points.
        estimator: Judges points.
        settings: Budget and allowed failures.
        on_trial: Called with all trials after each one.
        is_time_up: Asked before each batch of trials; the first time that it is true ends the search.

    Returns:
        All trials.

    Raises:
        TooManyFailedTrialsError: If more than `settings.max_failed_trials` failed.
    """
    trials, objectives = store.trials(), store.study.objectives
    for position, trial in enumerate(trials):
        if trial.status == "RUNNING":
            logger.info("trial %d was interrupted and is evaluated again", trial.number)
            trials[position] = evaluate_trial(trial, estimator, objectives)
            store.finish(trials[position])
    _check_failures(trials, settings)
    on_trial(trials)
    while len(trials) < settings.budget and not (is_time_up() and _has_completed(trials)):
        for trial in propose_trials(strategy, trials, settings)[: settings.budget - len(trials)]:
            store.add_running(trial)
            trials.append(evaluate_trial(trial, estimator, objectives))
            store.finish(trials[-1])
            _check_failures(trials, settings)
            on_trial(trials)
    return trials


def propose_trials(strategy: Strategy, trials: Sequence[Trial], settings: SearchConfig) -> list[Trial]:
    """Return the next trials, to be evaluated: the rest of the batch that the study stands in.

    Args:
        strategy: Proposes points.
        trials: All earlier trials, each ended.
        settings: Sizes of the design and of batches.
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
    """Judge a trial's point and return the trial as it ended: completed, or failed with a reason."""
    started = time.perf_counter()
    try:
        estimate = estimator.estimate(trial.parameters)
        reason = "; ".join(_problems(estimate, objectives))
        for further in estimate.further:
            estimator.search_space.validate({**trial.parameters, **further.thresholds})
        ended = _completed(trial, estimate) if not reason else replace(trial, status="FAILED", reason=reason)
    except Exception as error:  # whatever a user's estimator raises fails one trial, not the search
        logger.warning("trial %d failed", trial.number, exc_info=logger.isEnabledFor(logging.DEBUG))
        ended = replace(trial, status="FAILED", reason=f"{type(error).__name__}: {error}")
    return replace(ended, evaluation_s=time.perf_counter() - started)


def _completed(trial: Trial, estimate: Estimate) -> Trial:
    return replace(trial, key=estimate.key, status="COMPLETED", points=tuple(map(_plain_point, estimate.points)))


def _plain_point(point: OperatingPoint) -> OperatingPoint:
    """Return Python's own numbers, which a store can write, for NumPy's or PyTorch's."""
    return OperatingPoint(
        metrics=_plain(point.metrics),
        sems=_plain(point.sems),
        exit_rates=_plain(point.exit_rates),
        thresholds=_plain(point.thresholds),
        calibrations={output: Calibration(*map(float, astuple(one))) for output, one in point.calibrations.items()},
    )


def _plain(numbers: Mapping[str, float]) -> dict[str, float]:
    return {name: float(value) for name, value in numbers.items()}


def _problems(estimate: Estimate, objectives: Sequence[Objective]) -> list[str]:
    """Say what is missing or not finite, at the proposed thresholds or at further ones."""
    problems = []
    for number, point in enumerate(estimate.points):
        metrics = {name: (mean, point.sems.get(name, math.nan)) for name, mean in point.metrics.items()}
        where = f"further setting {number}: " if number else ""
        problems += [f"{where}{o.name} was not measured" for o in objectives if o.name not in metrics]
        problems += [
            f"{where}{name} is {mean} with standard error {sem}"
            for name, (mean, sem) in metrics.items()
            if not (math.isfinite(mean) and math.isfinite(sem))
        ]
        problems += [
            f"{where}{name} is {value}" for name, value in point.exit_figures.items() if not math.isfinite(value)
        ]
    return problems


def _has_completed(trials: Sequence[Trial]) -> bool:
    return any(trial.status == "COMPLETED" for trial in trials)


def _check_failures(trials: Sequence[Trial], settings: SearchConfig) -> None:
    failed = [trial for trial in trials if trial.status == "FAILED"]
    if len(failed) > settings.max_failed_trials:
        raise TooManyFailedTrialsError(
            f"{len(failed)} of {counted(len(trials), 'trial')} failed, more than search.max_failed_trials = "
            f"{settings.max_failed_trials}; the last one: {failed[-1].reason}"
        )
