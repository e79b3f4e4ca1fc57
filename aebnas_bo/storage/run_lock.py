"""Lock of a run folder, so that only one process uses it."""

from __future__ import annotations

import json
import os
import socket
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Self

import psutil
from filelock import FileLock, Timeout

from aebnas_bo.errors import RunFolderInUseError, UsageError
from aebnas_bo.storage.regular_files import read_regular
from aebnas_bo.storage.storage_failures import EXHAUSTED, storage_error

MOST_BYTES = 4096


class RunLock:
    """Lock of a run folder, which the operating system releases even after `kill -9`.

    On a network file system, the scope of the lock is that of `flock`: NFS forwards it to the server, so that it holds
    across machines. A folder on a file system without locks is rejected.

    Args:
        folder: An existing folder; `run.lock` in it names the holder.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / "run.lock"
        # Not deleted on release: another process may have opened the file already.
        self._lock = FileLock(self._path, blocking=False, thread_local=False, preserve_lock_file=True)

    def __enter__(self) -> Self:
        """Acquire the lock.

        Raises:
            RunFolderInUseError: If another process holds it; the message names that process.
            UsageError: If the file system does not support locks.
            StorageError: If the holder cannot be recorded, for example on a full disk.
        """
        try:
            self._lock.acquire()
        except Timeout as error:
            process = _describe(_holder_text(self._path) or "")
            raise RunFolderInUseError(
                f"{self._path.parent} is in use by {process}; wait for it to end, or use another --out"
            ) from error
        except OSError as error:
            if error.errno in EXHAUSTED:
                raise storage_error(self._path, error) from error
            raise UsageError(f"{self._path.parent} cannot be locked ({error.strerror}); use another --out") from error
        started = datetime.now(UTC).isoformat(timespec="seconds")
        own = {"pid": os.getpid(), "host": socket.gethostname(), "started": started}
        try:
            self._path.write_text(json.dumps(own), encoding="utf-8")
        except OSError as error:
            self._lock.release()
            raise storage_error(self._path, error) from error
        return self

    def __exit__(self, *exception: object) -> None:
        with suppress(OSError):  # the folder may have been removed
            os.truncate(self._path, 0)
        self._lock.release()


def process_at_work(folder: Path) -> str | None:
    """Return a description of the process that holds a run folder, or `None`, without using the lock.

    A process that releases the folder empties the lock file, but a killed process leaves its entry. A process on this
    machine is therefore looked up; a process on another machine is assumed to be running.

    Args:
        folder: The run folder.
    """
    path = folder / "run.lock"
    text = _holder_text(path)
    if text is None:
        return None
    try:
        holder = json.loads(text)
        pid, is_here = int(holder["pid"]), holder["host"] == socket.gethostname()
    except (ValueError, KeyError, TypeError):
        return None
    return _describe(text) if not is_here or _holds_open(pid, path) else None


def _holder_text(path: Path) -> str | None:
    """Return the text of a lock file, or `None` if it cannot be read."""
    try:
        return read_regular(path, MOST_BYTES).decode()
    except (OSError, UnicodeDecodeError):
        return None


def _holds_open(pid: int, path: Path) -> bool:
    """Return whether a process is running and has a file open; the check of the file excludes reused process ids."""
    try:
        return any(Path(file.path).samefile(path) for file in psutil.Process(pid).open_files())
    except (psutil.NoSuchProcess, ValueError):  # ValueError: the id is damaged
        return False
    except (psutil.AccessDenied, OSError):
        return True  # another user's process: assume that it has the file open


def _describe(text: str) -> str:
    try:
        holder = json.loads(text)
        return f"process {holder['pid']} on {holder['host']}, started {holder['started']}"
    except (ValueError, KeyError, TypeError):
        return "another process"
