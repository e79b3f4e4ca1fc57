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


def process_at_work(folder: Path) -> str | None:
    """Return which process holds a run folder, `None` if none does, without touching the lock.

    Whoever lets go of the folder empties the lock file; of a killed process its name stays behind, so that on this
    machine the process is looked up. One on another machine cannot be, and is taken at its word.

    Args:
        folder: The run folder.
    """
    path = folder / "run.lock"
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return None
    try:
        holder = json.loads(text)
        pid, is_here = int(holder["pid"]), holder["host"] == socket.gethostname()
    except (ValueError, KeyError, TypeError):
        return None
    return _describe(text) if not is_here or _holds_open(pid, path) else None


def _holds_open(pid: int, path: Path) -> bool:
    """Say whether a process lives and has a file open; numbers of processes are used again, open files are not."""
    try:
        os.kill(pid, 0)
    except PermissionError:
        return True  # somebody else's process
    except (OSError, OverflowError):
        return False
    files = Path(f"/proc/{pid}/fd")
    try:
        return any(file.exists() and file.samefile(path) for file in files.iterdir())
    except OSError:
        return True  # no such list on this system: that the process lives must do


def _describe(text: str) -> str:
    try:
        holder = json.loads(text)
        return f"process {holder['pid']} on {holder['host']}, started {holder['started']}"
    except (ValueError, KeyError, TypeError):
        return "another process"
