"""Interface for executors, which run jobs on workers, and the outcomes that they report."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

JobT = TypeVar("JobT")
JobT_contra = TypeVar("JobT_contra", contravariant=True)
ResultT = TypeVar("ResultT")


@dataclass(frozen=True)
class Ticket:
    """Identity of one attempt at a job.

    Args:
        number: Number of the job.
        attempt: Number of the attempt, from 1.
    """

    number: int
    attempt: int = 1


@dataclass(frozen=True)
class Outcome(Generic[ResultT]):
    """Outcome of one attempt at a job: its result, or why there is none.

    Args:
        ticket: The attempt.
        worker: Name of the worker.
        result: Result of the job; `None` if it was lost.
        lost: Why the worker gave no result, such as `worker died`; empty if it did.
        error: Exception that the job itself raised; `None` for a lost worker.
    """

    ticket: Ticket
    worker: str
    result: ResultT | None = None
    lost: str = ""
    error: Exception | None = None


class Executor(Protocol[JobT_contra, ResultT]):
    """Interface for executors. A job is submitted to a free worker; `wait` returns what ended.

    An executor may report the outcome of an attempt that it reported as lost before; the caller compares
    tickets.
    """

    @property
    def free_worker(self) -> str | None:
        """Name of the worker that takes the next job; `None` if there is none at present."""

    def submit(self, ticket: Ticket, job: JobT_contra) -> None:
        """Start a job on the free worker.

        Raises:
            ValueError: If no worker is free.
        """

    def wait(self, timeout_s: float) -> list[Outcome[ResultT]]:
        """Wait until at least one job ended, and return the outcomes of all that ended.

        Args:
            timeout_s: Seconds after which an empty list is returned.

        Raises:
            ExecutionError: If no worker has been available for too long.
        """

    def close(self) -> None:
        """End all workers, and the jobs that they run."""
