"""MLflow tracker: passes records to a process of its own, so that a slow or unreachable server never delays the run.

Importing MLflow takes seconds, and so does creating its database.
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
import selectors
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from aebnas_bo.tracking.tracker import Record

WRITER = (sys.executable, "-m", "aebnas_bo.tracking.mlflow_writer")
CLOSING_S = 60.0  # maximum seconds to wait for the process at the end of the run
MOST_WAITING = 1 << 26  # bytes that wait for the process; more means that it does not read
ENVIRONMENT = {
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "20",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_DISABLE_TELEMETRY": "true",
}


@dataclass(frozen=True)
class MlflowTarget:
    """Where a run is stored.

    Args:
        uri: Tracking server or database.
        experiment: Name of the experiment.
        run_name: Name of the run.
        runs_file: File with the numbers of the runs, so that a resumed study continues them.
        artifacts: Folder for pictures if the experiment is created in a database.
        parameters: Settings of the study to store.
    """

    uri: str
    experiment: str
    run_name: str
    runs_file: Path
    artifacts: Path
    parameters: Mapping[str, str]

    def to_json(self) -> str:
        """Return the target as one line."""
        paths = {"runs_file": str(self.runs_file.absolute()), "artifacts": str(self.artifacts.absolute())}
        return json.dumps({**self.__dict__, **paths, "parameters": dict(self.parameters)})


class MlflowTrackerError(RuntimeError):
    """Raised if the process that writes to MLflow has failed."""


class MlflowTracker:
    """Tracker that writes to MLflow: one run per study, with a nested run per separately trained network.

    Args:
        target: Where to write.
        command: Command of the process.
    """

    def __init__(self, target: MlflowTarget, command: Sequence[str] = WRITER) -> None:
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
            env={**ENVIRONMENT, **os.environ},
            start_new_session=True,  # Ctrl-C ends the run, and this process afterwards
        )  # fmt: skip
        assert self._process.stdin is not None
        self._pipe = self._process.stdin
        os.set_blocking(self._pipe.fileno(), False)
        self._waiting = bytearray()
        self._put(target.to_json())

    def write(self, record: Record) -> None:
        """Pass a record to the process.

        Raises:
            MlflowTrackerError: If the process has failed, or does not read.
        """
        pictures = {name: base64.b64encode(png).decode() for name, png in record.pictures.items()}
        self._put(json.dumps({**record.__dict__, "values": dict(record.values), "pictures": pictures}))

    def close(self) -> None:
        """Wait until the process has stored all records.

        Raises:
            MlflowTrackerError: If the process has failed, or is not done in time; it then continues alone.
        """
        deadline = time.monotonic() + CLOSING_S
        with selectors.DefaultSelector() as selector:
            selector.register(self._pipe, selectors.EVENT_WRITE)
            while self._waiting and time.monotonic() < deadline:
                selector.select(1.0)
                self._send()
        if self._waiting:
            self._process.kill()
            raise MlflowTrackerError(f"the process that writes to MLflow has not read all figures in {CLOSING_S:g} s")
        self._pipe.close()
        try:
            self._process.wait(max(deadline - time.monotonic(), 0.1))
        except subprocess.TimeoutExpired:
            raise MlflowTrackerError(f"MLflow has not stored all figures in {CLOSING_S:g} s; they follow") from None
        self._check()

    def _put(self, line: str) -> None:
        self._check()
        self._waiting += line.encode() + b"\n"
        self._send()
        if len(self._waiting) > MOST_WAITING:
            self._process.kill()
            raise MlflowTrackerError("the process that writes to MLflow does not keep up")

    def _send(self) -> None:
        try:
            while self._waiting:
                written = os.write(self._pipe.fileno(), self._waiting[: 1 << 16])
                del self._waiting[:written]
        except BlockingIOError:
            return  # the pipe is full: continue with the next record
        except BrokenPipeError:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(5.0)
            self._waiting.clear()
            self._check()

    def _check(self) -> None:
        code = self._process.poll()
        if code is None or (code == 0 and self._pipe.closed):
            return
        message = self._process.stdout.read().decode("utf-8", "replace").strip() if self._process.stdout else ""
        raise MlflowTrackerError(message or f"the process that writes to MLflow ended with exit code {code}")
