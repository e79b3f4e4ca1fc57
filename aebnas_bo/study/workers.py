"""Workers of a study: this process, or actors on a Ray cluster."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from aebnas_bo.errors import ConfigError
from aebnas_bo.estimation.estimator import Estimator
from aebnas_bo.estimation.estimator_parts import parts_of
from aebnas_bo.estimation.supernet_estimator import SupernetEstimator
from aebnas_bo.execution.ray_cluster import check_cluster, ray_cluster
from aebnas_bo.execution.ray_executor import RayExecutor
from aebnas_bo.preparation.problem import Problem
from aebnas_bo.preparation.progress import RunProgress
from aebnas_bo.search.objectives import Objective
from aebnas_bo.search.remote_evaluation import RemoteEvaluation
from aebnas_bo.search.trial import Trial
from aebnas_bo.search.trial_evaluation import Evaluation
from aebnas_bo.storage.count_text import counted


def check_workers(problem: Problem) -> None:
    """Check, before long preparations, that the configured workers can be had.

    Args:
        problem: The search problem.

    Raises:
        ConfigError: If Ray is missing, the cluster too small, or workers would run on another device than this process.
    """
    settings = problem.config.execution
    if settings.engine == "serial":
        return
    if problem.device == "cuda" and not settings.gpus_per_worker:
        raise ConfigError(
            "execution.gpus_per_worker: this process runs networks on a GPU, workers would run them on CPUs; set "
            "gpus_per_worker, for example 0.25 for four workers per GPU, or device: cpu"
        )
    check_cluster(settings)


@contextmanager
def evaluation_of(
    problem: Problem, estimator: Estimator, objectives: Sequence[Objective], *, progress: RunProgress
) -> Iterator[Estimator | Evaluation]:
    """Yield the estimator, or the workers that evaluate trials with it.

    Args:
        problem: The search problem, with the configuration of the workers.
        estimator: The estimator.
        objectives: Objectives of the study.
        progress: Shows where trials are evaluated.

    Raises:
        ConfigError: If the workers cannot be had, or the estimator cannot be sent to them.
    """
    settings = problem.config.execution
    if settings.engine == "serial":
        yield estimator
        return
    sent = RemoteEvaluation(
        parts_of(estimator) if isinstance(estimator, SupernetEstimator) else estimator,
        tuple(objectives),
        device="cuda" if settings.gpus_per_worker else "cpu",
        num_threads=problem.config.num_threads,
    )
    with ray_cluster(settings) as ray:
        executor = RayExecutor[Trial, Trial](ray, sent, settings)
        place = settings.address or "local"
        progress.message(f"workers: {counted(settings.workers, 'worker')} on the Ray cluster {place}")
        try:
            yield Evaluation(
                estimator.search_space, executor, max_attempts=settings.max_attempts, lease_s=settings.lease_s
            )
        finally:
            executor.close()
