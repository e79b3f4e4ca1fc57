"""Executor that runs jobs on the workers of a Ray cluster.

Every worker is an actor of its own, without Ray's restarts and retries: the caller counts attempts. Data that
all jobs share, such as weights and images, is put into Ray's object store once; every worker builds its work from it.

A worker gives a sign of life from a second thread while it works. Without one for the time of a lease it counts as
lost: Ray alone may wait for minutes for a machine that the network no longer reaches. What a lost worker still answers
is dropped.
"""

from __future__ import annotations

import logging
import math
import os
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any, Generic

from aebnas_bo.errors import AebnasError, ConfigError, ExecutionError, one_line, reason_of
from aebnas_bo.execution.cpu import keep_kernels_and_memory
from aebnas_bo.execution.executor import JobT, Outcome, ResultT, Ticket
from aebnas_bo.execution.settings import ExecutionConfig

logger = logging.getLogger(__name__)

SIGNS_PER_LEASE = 4
NODES_S = 2.0  # seconds between two looks at the nodes of the cluster
READY_S = 300.0  # seconds without any worker after which the search ends, unless the lease is longer
LIFE = "life"  # concurrency group of the signs of life


class _Worker:
    """Actor that runs one job at a time and answers signs of life meanwhile."""

    def __init__(self, make: Callable[[], Callable[[Any], Any]]) -> None:
        keep_kernels_and_memory()
        self._failure: Exception | None = None
        try:
            self._work = make()
        except Exception as error:  # Ray would report it as the death of the actor, as text
            self._failure = error

    def run(self, job: object) -> object:
        return self._work(job)

    def place(self) -> tuple[str, str]:
        """Return the name of the worker and the identity of its node."""
        if self._failure is not None:
            raise self._failure
        import ray  # noqa: PLC0415  runs on a worker

        return f"{socket.gethostname()}:{os.getpid()}", ray.get_runtime_context().get_node_id()


@dataclass(eq=False)
class _Actor(Generic[ResultT]):
    """What is known about a worker."""

    handle: Any
    sign: Any  # reference of the sign of life that was asked for; `None` between two
    name: str = ""  # empty until it is ready
    node: str = ""
    ticket: Ticket | None = None
    running: Any = None  # reference of the result
    seen: float = field(default_factory=time.monotonic)


class RayExecutor(Generic[JobT, ResultT]):
    """Runs jobs on workers of a Ray cluster.

    Args:
        ray: The module `ray`, connected to a cluster (`ray_cluster`).
        make: Constructs the function that runs jobs; called once in every worker. It is put into the object store once.
        settings: Number and size of workers, and their lease.

    Raises:
        ConfigError: If `make` cannot be pickled.
    """

    def __init__(
        self, ray: ModuleType, make: Callable[[], Callable[[JobT], ResultT]], settings: ExecutionConfig
    ) -> None:
        self._ray, self._settings = ray, settings
        try:
            self._shared = ray.put(make)
        except TypeError as error:  # cannot be pickled
            raise ConfigError(
                f"execution.engine: the work cannot be sent to workers ({reason_of(error)}); make the estimator and "
                "other objects from Python picklable, or set engine: serial"
            ) from error
        self._class = ray.remote(
            num_cpus=settings.cpus_per_worker,
            num_gpus=settings.gpus_per_worker,
            max_restarts=0,
            max_task_retries=0,
            concurrency_groups={LIFE: 1},
        )(_Worker)
        self._actors: list[_Actor[ResultT]] = []
        self._last_alive, self._looked = time.monotonic(), -math.inf
        self._alive: set[str] = set()  # nodes
        self._reason = ""  # why the last worker was lost
        self._replace_lost()

    @property
    def free_worker(self) -> str | None:
        """A worker that is ready and runs no job."""
        actor = self._free()
        return actor.name if actor is not None else None

    def submit(self, ticket: Ticket, job: JobT) -> None:
        """Start a job on the free worker.

        Raises:
            ValueError: If no worker is free.
        """
        actor = self._free()
        if actor is None:
            raise ValueError(f"job {ticket.number}: no worker is free")
        actor.ticket, actor.running, actor.seen = ticket, actor.handle.run.remote(job), time.monotonic()

    def wait(self, timeout_s: float) -> list[Outcome[ResultT]]:
        """Return the outcomes of jobs that ended or whose workers were lost, once there is one or a worker got ready.

        Args:
            timeout_s: Seconds after which an empty list is returned.

        Raises:
            ExecutionError: If no worker has been ready for minutes, or workers cannot construct their work.
        """
        self._ask_for_signs()
        references = [one for actor in self._actors for one in (actor.running, actor.sign) if one is not None]
        if references:
            self._ray.wait(references, num_returns=1, timeout=timeout_s)
            ready, _ = self._ray.wait(references, num_returns=len(references), timeout=0)
        else:
            time.sleep(timeout_s)
            ready = []
        arrived = set(ready)
        ended = [outcome for actor in [*self._actors] for outcome in self._look_at(actor, arrived)]
        self._replace_lost()
        self._check_alive()
        return ended

    def close(self) -> None:
        """Kill all workers."""
        for actor in self._actors:
            self._ray.kill(actor.handle)
        self._actors = []

    def _free(self) -> _Actor[ResultT] | None:
        return next((actor for actor in self._actors if actor.name and actor.ticket is None), None)

    def _ask_for_signs(self) -> None:
        now, pause = time.monotonic(), self._settings.lease_s / SIGNS_PER_LEASE
        for actor in self._actors:
            if actor.sign is None and actor.name and now - actor.seen >= pause:
                actor.sign = actor.handle.place.options(concurrency_group=LIFE).remote()

    def _look_at(self, actor: _Actor[ResultT], arrived: set[Any]) -> list[Outcome[ResultT]]:
        """Take what arrived from a worker, and return the outcome of its job if there is one."""
        ticket, name = actor.ticket, actor.name
        try:
            if actor.sign in arrived:
                actor.name, actor.node = self._ray.get(actor.sign, timeout=self._settings.lease_s)
                actor.sign, actor.seen = None, time.monotonic()
            if actor.running in arrived and ticket is not None:
                # Ray has fetched it; the time-out is for a machine that the network loses at this moment.
                result = self._ray.get(actor.running, timeout=self._settings.lease_s)
                actor.ticket, actor.running, actor.seen = None, None, time.monotonic()
                return [Outcome(ticket, name, result)]
        except self._ray.exceptions.RayTaskError as error:
            return self._of_error(actor, error)
        except self._ray.exceptions.RayError as error:
            first, *others = [line for line in str(error).splitlines() if line.strip()] or ["no text"]
            reason = first if not others or actor.name else f"{first} ... {others[-1]}"
            return self._lost(actor, one_line(f"{type(error).__name__}: {reason}"))
        silent_s = time.monotonic() - actor.seen
        if actor.name and silent_s > self._settings.lease_s:
            return self._lost(actor, f"no sign of life for {silent_s:.0f} s")
        if actor.node and actor.node not in self._nodes():
            return self._lost(actor, "its node left the cluster")
        return []

    def _of_error(self, actor: _Actor[ResultT], error: Any) -> list[Outcome[ResultT]]:
        cause = error.cause if isinstance(error.cause, Exception) else error
        if actor.ticket is None:  # its work could not be constructed, nor will that of the next one
            if isinstance(cause, AebnasError):
                raise cause
            raise ExecutionError(f"a worker of the Ray cluster cannot start: {reason_of(cause)}") from cause
        ticket, actor.ticket, actor.running, actor.seen = actor.ticket, None, None, time.monotonic()
        return [Outcome(ticket, actor.name, error=cause)]

    def _lost(self, actor: _Actor[ResultT], reason: str) -> list[Outcome[ResultT]]:
        logger.info("worker %s is lost: %s", actor.name or "(starting)", reason)
        self._reason = reason
        self._actors.remove(actor)
        self._ray.kill(actor.handle)  # if it lives after all; its answer is dropped
        return [] if actor.ticket is None else [Outcome(actor.ticket, actor.name, lost=reason)]

    def _nodes(self) -> set[str]:
        """Return the nodes that Ray takes for alive, asked at most every few seconds."""
        now = time.monotonic()
        if now - self._looked >= NODES_S:
            self._looked = now
            self._alive = {node["NodeID"] for node in self._ray.nodes() if node["Alive"]}
        return self._alive

    def _replace_lost(self) -> None:
        while len(self._actors) < self._settings.workers:
            handle = self._class.remote(self._shared)
            sign = handle.place.options(concurrency_group=LIFE).remote()
            self._actors.append(_Actor(handle, sign))

    def _check_alive(self) -> None:
        now = time.monotonic()
        if any(actor.name for actor in self._actors):
            self._last_alive = now
        elif now - self._last_alive > max(self._settings.lease_s, READY_S):
            why = f"the last one was lost: {self._reason}" if self._reason else "none got ready: others may use them"
            raise ExecutionError(
                f"no worker of the Ray cluster has been ready for {now - self._last_alive:.0f} s ({why}); finished "
                "results are stored: resume when the cluster has room, or with a longer execution.lease_s"
            )
