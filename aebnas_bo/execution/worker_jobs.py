"""Lists of jobs, such as the trainings of several seeds, run on the workers of a Ray cluster."""

from __future__ import annotations

import logging
from collections import Counter, deque
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import cast

from aebnas_bo.errors import ConfigError, ExecutionError
from aebnas_bo.execution.executor import Executor, JobT, ResultT, Ticket
from aebnas_bo.execution.ray_cluster import ray_cluster
from aebnas_bo.execution.ray_executor import RayExecutor
from aebnas_bo.execution.settings import ExecutionConfig

logger = logging.getLogger(__name__)

POLL_S = 1.0

OnEnd = Callable[[int], None]
"""Called with the number of jobs that have ended."""


def run_on_workers(
    make: Callable[[], Callable[[JobT], ResultT]],
    jobs: Sequence[JobT],
    settings: ExecutionConfig,
    *,
    on_end: OnEnd = lambda _: None,
) -> list[ResultT]:
    """Run jobs on a Ray cluster, with at most as many workers as jobs.

    Args:
        make: Constructs, in every worker, the function that runs a job; it must be picklable.
        jobs: The jobs.
        settings: Cluster, number and size of the workers.
        on_end: Called with the number of jobs that have ended, at least every second.

    Returns:
        The results, in the order of the jobs.

    Raises:
        ConfigError: If the workers cannot be had, or the jobs cannot be sent to them.
        ExecutionError: If too many workers were lost with a job.
        Exception: What a job raised.
    """
    if not jobs:
        return []
    settings = settings.model_copy(update={"workers": min(settings.workers, len(jobs))})
    with ray_cluster(settings) as ray:
        executor = RayExecutor[JobT, ResultT](ray, make, settings)
        try:
            return run_jobs(executor, jobs, max_attempts=settings.max_attempts, on_end=on_end)
        finally:
            executor.close()


def run_jobs(
    executor: Executor[JobT, ResultT], jobs: Sequence[JobT], *, max_attempts: int, on_end: OnEnd = lambda _: None
) -> list[ResultT]:
    """Run jobs on an executor; those of lost workers are given to others.

    Args:
        executor: The executor.
        jobs: The jobs.
        max_attempts: Workers that may be lost with the same job.
        on_end: Called with the number of jobs that have ended, after every wait.

    Returns:
        The results, in the order of the jobs.

    Raises:
        ExecutionError: If too many workers were lost with a job.
        Exception: What a job raised.
    """
    waiting, attempts = deque(range(len(jobs))), Counter[int]()
    running: dict[int, Ticket] = {}
    results: dict[int, ResultT] = {}
    while len(results) < len(jobs):
        while waiting and executor.free_worker is not None:
            number = waiting.popleft()
            attempts[number] += 1
            running[number] = Ticket(number, attempts[number])
            executor.submit(running[number], jobs[number])
        for outcome in executor.wait(POLL_S):
            number = outcome.ticket.number
            if running.get(number) != outcome.ticket:
                continue  # a late answer of a lost worker
            del running[number]
            if outcome.error is not None:
                raise outcome.error
            if outcome.lost and attempts[number] >= max_attempts:
                raise ExecutionError(
                    f"{attempts[number]} workers were lost with the same job, the last one: {outcome.lost}; finished "
                    "work is stored: run the same command again"
                )
            if outcome.lost:
                logger.warning("job %d: %s was lost (%s); another takes it", number, outcome.worker, outcome.lost)
                waiting.append(number)
            else:
                results[number] = cast(ResultT, outcome.result)  # which may be None
        on_end(len(results))
    return [results[number] for number in range(len(jobs))]


def check_visible(folder: Path) -> None:
    """Check, in a worker, that it sees a folder of the process that gives jobs.

    Args:
        folder: The folder.

    Raises:
        ConfigError: If it does not.
    """
    if not folder.is_dir():
        raise ConfigError(
            f"{folder}: a worker does not see this folder, in which trainings are stored; put it on a file system that "
            "all nodes share, at the same path, or set execution.engine: serial"
        )
