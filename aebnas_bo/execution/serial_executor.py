"""Executor that runs one job at a time in this process; the default."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic

from aebnas_bo.execution.executor import JobT, Outcome, ResultT, Ticket

WORKER = "this process"


class SerialExecutor(Generic[JobT, ResultT]):
    """Runs each job when its outcome is waited for; an exception of a job is raised by `wait`.

    Args:
        work: Function that runs a job.
    """

    def __init__(self, work: Callable[[JobT], ResultT]) -> None:
        self._work = work
        self._submitted: tuple[Ticket, JobT] | None = None

    @property
    def free_worker(self) -> str | None:
        """This process, unless a job is waiting."""
        return WORKER if self._submitted is None else None

    def submit(self, ticket: Ticket, job: JobT) -> None:
        """Accept a job, which `wait` runs.

        Raises:
            ValueError: If another job is waiting.
        """
        if self._submitted is not None:
            raise ValueError(f"job {ticket.number}: no worker is free")
        self._submitted = ticket, job

    def wait(self, timeout_s: float) -> list[Outcome[ResultT]]:  # noqa: ARG002  a running job cannot be left
        """Run the submitted job and return its result; without a job, return an empty list."""
        if self._submitted is None:
            return []
        (ticket, job), self._submitted = self._submitted, None
        return [Outcome(ticket, WORKER, self._work(job))]

    def close(self) -> None:
        """Do nothing: no job runs between calls."""
