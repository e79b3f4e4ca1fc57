"""Executor of a simulated cluster with a virtual clock: seconds pass where a job takes them, not on a real clock.

It shows in a moment what a search does on many workers, and how it reacts to lost ones. Jobs run in this process when
their virtual duration is over.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Generic

from aebnas_bo.execution.executor import JobT, Outcome, ResultT, Ticket


@dataclass(frozen=True)
class AttemptCourse:
    """Course of one attempt at a job.

    Args:
        seconds: Virtual seconds until its result arrives; infinite for a worker that never answers.
        is_silent: Whether the worker stops renewing its lease at the start. If the result takes longer than the lease,
            the job is reported as lost, and its result arrives late.
        dies_after: Virtual seconds after which the worker is seen to die; `None` for a worker that lives.
    """

    seconds: float
    is_silent: bool = False
    dies_after: float | None = None


@dataclass(order=True)
class _Event:
    time: float
    order: int
    ticket: Ticket = field(compare=False)
    worker: str = field(compare=False)
    lost: str = field(compare=False)  # empty: the result arrives


class SimulatedExecutor(Generic[JobT, ResultT]):
    """Runs jobs on simulated workers; equal arguments give equal orders of events.

    Args:
        work: Function that runs a job, whose real duration does not count.
        num_workers: Number of workers.
        course: Course of each attempt; attempts that begin together and take equally long end in order of submission.
        lease_s: Virtual seconds without a sign of life after which a job is lost.
        ready_s: Virtual seconds until the workers are ready.
    """

    def __init__(
        self,
        work: Callable[[JobT], ResultT],
        num_workers: int,
        course: Callable[[Ticket], AttemptCourse],
        *,
        lease_s: float = 60.0,
        ready_s: float = 0.0,
    ) -> None:
        self.now = 0.0
        self.busy_s = 0.0
        self._work, self._fate, self._lease_s, self._ready_s = work, course, lease_s, ready_s
        self._events: list[_Event] = []
        self._jobs: dict[Ticket, JobT] = {}
        self._free = [f"worker {number}" for number in range(num_workers)]
        self._count = 0

    @property
    def free_worker(self) -> str | None:
        """Worker that has been free for longest."""
        return self._free[0] if self._free and self.now >= self._ready_s else None

    def submit(self, ticket: Ticket, job: JobT) -> None:
        """Start a job on the free worker.

        Raises:
            ValueError: If no worker is free.
        """
        if self.free_worker is None:
            raise ValueError(f"job {ticket.number}: no worker is free")
        worker, course = self._free.pop(0), self._fate(ticket)
        self._jobs[ticket] = job
        if course.dies_after is not None:
            self._add(course.dies_after, ticket, worker, lost="worker died")
            return
        if course.is_silent and course.seconds > self._lease_s:
            self._add(self._lease_s, ticket, worker, lost=f"no sign of life for {self._lease_s:g} s")
        if math.isfinite(course.seconds):
            self._add(course.seconds, ticket, worker)
            self.busy_s += course.seconds

    def wait(self, timeout_s: float) -> list[Outcome[ResultT]]:
        """Advance the clock to the next event, at most by the timeout, and return all outcomes of that time."""
        if not self._events or self._events[0].time > self.now + timeout_s:
            self.now += timeout_s
            return []
        self.now = max(self.now, self._events[0].time)
        ended = []
        while self._events and self._events[0].time <= self.now:
            ended.append(self._outcome(heapq.heappop(self._events)))
        return ended

    def advance(self, seconds: float) -> None:
        """Let virtual time pass, such as the time of a proposal, while workers work."""
        self.now += seconds

    def close(self) -> None:
        """Forget all jobs."""
        self._events.clear()

    def _add(self, after: float, ticket: Ticket, worker: str, *, lost: str = "") -> None:
        self._count += 1
        heapq.heappush(self._events, _Event(self.now + after, self._count, ticket, worker, lost))

    def _outcome(self, event: _Event) -> Outcome[ResultT]:
        if event.worker not in self._free:  # a silent worker is replaced when its job is lost, and answers later
            self._free.append(event.worker)
        if event.lost:
            return Outcome(event.ticket, event.worker, lost=event.lost)
        return Outcome(event.ticket, event.worker, self._work(self._jobs.pop(event.ticket)))
