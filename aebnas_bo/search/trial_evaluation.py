"""Evaluation of a trial's point: completed with an estimate, or failed with a reason."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

from aebnas_bo.errors import error_text, one_line
from aebnas_bo.estimation.estimate import Estimate, OperatingPoint
from aebnas_bo.estimation.estimator import Estimator
from aebnas_bo.execution.executor import Executor
from aebnas_bo.execution.serial_executor import SerialExecutor
from aebnas_bo.search.machine_failures import machine_failure
from aebnas_bo.search.objectives import Objective
from aebnas_bo.search.trial import Trial
from aebnas_bo.search.trial_check import estimate_problems, plain_point, point_problems
from aebnas_bo.space.search_space import SearchSpace

logger = logging.getLogger(__name__)

MOST_ATTEMPTS = 3
LEASE_S = 60.0


@dataclass(frozen=True)
class Evaluation:
    """Workers that evaluate the trials of a study.

    Args:
        search_space: The space of the points.
        executor: Runs `evaluate_trial`, here or on other machines.
        max_attempts: Number of workers that may be lost with a trial before it fails.
        lease_s: Seconds without a sign of life after which a worker counts as lost.
    """

    search_space: SearchSpace
    executor: Executor[Trial, Trial]
    max_attempts: int = MOST_ATTEMPTS
    lease_s: float = LEASE_S

    @property
    def has_workers(self) -> bool:
        """Whether trials are evaluated by workers, which claim them, rather than by this process."""
        return not isinstance(self.executor, SerialExecutor)


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
