"""One process per run folder."""

from __future__ import annotations

import fcntl
import json
import os
import socket
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Self

from aebnas_bo.errors import RunFolderInUseError


class RunLock:
    """Holds a run folder while the process lives; the operating system frees it even after `kill -9`.

    Args:
        folder: An existing folder; `run.lock` in it names the holder.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / "run.lock"
        self._file: IO[str] | None = None

    def __enter__(self) -> Self:
        """Take the folder.

        Raises:
            RunFolderInUseError: If another process has it; the message names that process.
        """
        file = self._path.open("a+", encoding="utf-8")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            file.seek(0)
            holder = _describe(file.read())
            file.close()
            raise RunFolderInUseError(
                f"{self._path.parent} is in use by {holder}; wait for it to end, or give another --out"
            ) from error
        file.seek(0)
        file.truncate()
        started = datetime.now(UTC).isoformat(timespec="seconds")
        json.dump({"pid": os.getpid(), "host": socket.gethostname(), "started": started}, file)
        file.flush()
        self._file = file
        return self

    def __exit__(self, *exception: object) -> None:
        if self._file is not None:
            self._file.truncate(0)
            self._file.close()  # closing frees the lock


def _describe(text: str) -> str:
    try:
        holder = json.loads(text)
        return f"process {holder['pid']} on {holder['host']}, started {holder['started']}"
    except (ValueError, KeyError, TypeError):
        return "another process"
