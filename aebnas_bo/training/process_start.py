"""Start and end of the processes of a training.

The process of the run is the first. It starts the others on this machine, or finds them started by `torchrun`, on this
machine or on several, and sends them the training, so that they need neither configuration nor images.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import timedelta
from typing import IO, Protocol

import torch
import torch.distributed as dist
from torch.distributed.distributed_c10d import PrefixStore, Store
from torch.distributed.rendezvous import rendezvous

from aebnas_bo.errors import AebnasError, ProcessLostError, UsageError, reason_of
from aebnas_bo.training.processes import Job, Processes

STEP_LIMIT = timedelta(minutes=10)  # maximum wait for the other processes within a training
START_LIMIT = timedelta(days=7)  # maximum wait of other processes for a training to start
END_S = 10.0  # seconds for a lost process to end, so that its exit code is known
BEGIN, TRAINS, ENDS = "aebnas_bo/begin/{}", "train on {}", "end"  # keys and values in the store of the processes
TRAININGS = "aebnas_bo/trainings"  # key of the number of trainings that `torchrun`'s processes have begun


@contextmanager
def first_process(count: int, job: Job, device: torch.device) -> Iterator[Processes]:
    """Start the other processes of a training, and end them after the block.

    Args:
        count: Number of processes.
        job: The training.
        device: Device of this process. On CUDA every process has a GPU of its own.

    Raises:
        ProcessLostError: If another process ends before the training.
        UsageError: If the machine has too few GPUs, or `torchrun` started another number of processes.
    """
    _check_gpus(count, device)
    group: _Group = _Started(count, device) if torchrun_processes() > 1 else _ChildProcesses(count, device)
    is_done = False
    try:
        with _joined(group.store, 0, count, device=device):
            processes = Processes(0, count)
            processes.of_first(job)
            yield processes
            dist.barrier()  # others that still work would lose their connection
        is_done = True
    except AebnasError:
        raise
    except RuntimeError as error:
        if (lost := group.lost(error)) is None:
            raise
        raise ProcessLostError(
            f"a process of the training was lost ({lost}); the last checkpoint is kept: resume with the same number of "
            "processes"
        ) from error
    finally:
        group.end(is_done)


def torchrun_processes() -> int:
    """Return the number of processes that `torchrun` started; 1 without it."""
    return int(os.environ.get("WORLD_SIZE", "1")) if "TORCHELASTIC_RUN_ID" in os.environ else 1


def is_follower() -> bool:
    """Return whether `torchrun` started this process as another than the first."""
    return torchrun_processes() > 1 and int(os.environ.get("RANK", "0")) > 0


def release_followers() -> None:
    """End the other processes that `torchrun` started, once no training follows."""
    if torchrun_processes() > 1:
        with suppress(RuntimeError):  # they have ended
            store = _torchrun_store()
            store.set(BEGIN.format(store.add(TRAININGS, 0)), ENDS)


def follow() -> None:
    """Take part in trainings as another process than the first, until there are no more."""
    rank, count = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
    device = _own_device()
    store = _torchrun_store()
    number = 0
    while True:
        key = BEGIN.format(number)
        store.wait([key], START_LIMIT)
        text = store.get(key).decode()
        if text == ENDS:
            return
        on = device if text == TRAINS.format("cuda") else torch.device("cpu")
        with _joined(PrefixStore(f"training{number}", store), rank, count, device=on):
            processes = Processes(rank, count)
            job: Job | None = processes.of_first(None)
            assert job is not None
            job.follow(processes, on)
            dist.barrier()
        number += 1


class _Group(Protocol):
    """The other processes, seen from the first."""

    store: Store

    def lost(self, error: RuntimeError) -> str | None:
        """Return which process was lost, if an error is the consequence of that."""
        ...

    def end(self, is_done: bool) -> None:
        """End the processes, or leave them to `torchrun`.

        Args:
            is_done: Whether the training is finished, so that they end without help.
        """
        ...


class _Started:
    """Processes that `torchrun` started."""

    def __init__(self, count: int, device: torch.device) -> None:
        if count != torchrun_processes():
            raise UsageError(
                f"torchrun started {torchrun_processes()} processes, but the training has {count}; start as many"
            )
        store = _torchrun_store()
        number = store.add(TRAININGS, 1) - 1
        store.set(BEGIN.format(number), TRAINS.format(device.type))
        self.store: Store = PrefixStore(f"training{number}", store)

    def lost(self, error: RuntimeError) -> str | None:
        return reason_of(error) if _is_of_connection(error) else None

    def end(self, is_done: bool) -> None:
        pass


class _ChildProcesses:
    """Processes that this process starts."""

    def __init__(self, count: int, device: torch.device) -> None:
        server = dist.TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False)  # type: ignore[attr-defined]
        server.set(BEGIN.format(0), TRAINS.format(device.type))
        server.set(BEGIN.format(1), ENDS)
        self._server = server  # it ends with the last reference
        self.store: Store = PrefixStore("training0", server)
        self._errors: list[IO[bytes]] = []
        self._children: list[subprocess.Popen[bytes]] = []
        for rank in range(1, count):
            self._errors.append(tempfile.TemporaryFile())  # noqa: SIM115  closed by `end`
            self._children.append(_start(rank, count, port=server.port, errors=self._errors[-1]))

    def lost(self, error: RuntimeError) -> str | None:
        deadline = time.monotonic() + (END_S if _is_of_connection(error) else 0.0)
        while time.monotonic() < deadline and all(child.poll() is None for child in self._children):
            time.sleep(0.05)
        for rank, (child, errors) in enumerate(zip(self._children, self._errors, strict=True), start=1):
            code = child.poll()
            if code:
                how = f"signal {-code}" if code < 0 else f"exit code {code}"
                return ": ".join([f"process {rank} ended with {how}", *_last_line(errors)])
        return reason_of(error) if _is_of_connection(error) else None

    def end(self, is_done: bool) -> None:
        deadline = time.monotonic() + (END_S if is_done else 0.0)
        for child in self._children:
            with suppress(subprocess.TimeoutExpired):
                child.wait(max(deadline - time.monotonic(), 0.0))
            child.kill()
            child.wait()
        for errors in self._errors:
            errors.close()


def _start(rank: int, count: int, *, port: int, errors: IO[bytes]) -> subprocess.Popen[bytes]:
    settings = {
        "RANK": str(rank),
        "LOCAL_RANK": str(rank),
        "WORLD_SIZE": str(count),
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
        "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
        "OMP_NUM_THREADS": str(torch.get_num_threads()),
    }
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("TORCHELASTIC")}
    return subprocess.Popen(
        [sys.executable, "-m", "aebnas_bo.training.follower"],
        env={**inherited, **settings}, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=errors,
        start_new_session=True,  # Ctrl-C reaches the process of the run only, which ends the others
    )  # fmt: skip


@contextmanager
def _joined(store: Store, rank: int, count: int, *, device: torch.device) -> Iterator[None]:
    backend = "cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo"
    dist.init_process_group(backend, store=store, rank=rank, world_size=count, timeout=STEP_LIMIT)
    try:
        yield
    finally:
        dist.destroy_process_group()


def _torchrun_store() -> Store:
    store, _, _ = next(rendezvous("env://", timeout=START_LIMIT))
    return store


def _own_device() -> torch.device:
    if not torch.cuda.is_available():
        return torch.device("cpu")
    device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")) % torch.cuda.device_count())
    torch.cuda.set_device(device)
    return device


def _check_gpus(count: int, device: torch.device) -> None:
    here = int(os.environ.get("LOCAL_WORLD_SIZE", str(count)))  # torchrun may start others on other machines
    if device.type == "cuda" and torch.cuda.device_count() < min(here, count):
        raise UsageError(
            f"{count} processes need as many GPUs, and this machine has {torch.cuda.device_count()}; use fewer"
        )


def _is_of_connection(error: RuntimeError) -> bool:
    """Return whether an error comes from the connection between processes."""
    text = str(error)
    return isinstance(error, dist.DistError) or any(part in text for part in ("gloo", "NCCL", "onnection"))


def _last_line(errors: IO[bytes]) -> Sequence[str]:
    errors.seek(0)
    lines = errors.read().decode("utf-8", "replace").strip().splitlines()
    return lines[-1:]
