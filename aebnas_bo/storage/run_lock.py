"""One process per run folder."""

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
from aebnas_bo.storage.storage_failures import EXHAUSTED, storage_error


class RunLock:
    """Holds a run folder while the process lives; the operating system frees it even after `kill -9`.

    On a network file system the lock reaches as far as `flock` does there: NFS passes it on to the server, so that
    other machines are refused too. Where files cannot be locked at all, the folder is refused.

    Args:
        folder: An existing folder; `run.lock` in it names the holder.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / "run.lock"
        # Kept when freed: another process may have opened the file already.
        self._lock = FileLock(self._path, blocking=False, thread_local=False, preserve_lock_file=True)

    def __enter__(self) -> Self:
        """Take the folder.

        Raises:
            RunFolderInUseError: If another process has it; the message names that process.
            UsageError: If files cannot be locked there.
            StorageError: If it cannot be said who holds it, such as on a full disk.
        """
        try:
            self._lock.acquire()
        except Timeout as error:
            process = _describe(self._path.read_text(encoding="utf-8", errors="replace"))
            raise RunFolderInUseError(
                f"{self._path.parent} is in use by {process}; wait for it to end, or give another --out"
            ) from error
        except OSError as error:
            if error.errno in EXHAUSTED:
                raise storage_error(self._path, error) from error
            raise UsageError(f"{self._path.parent} cannot be locked ({error.strerror}); give another --out") from error
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
    """Return which process holds a run folder, `None` if none does, without touching the lock.

    A process that releases the folder empties the lock file; of a killed process its name stays behind, so that on this
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
        return any(Path(file.path).samefile(path) for file in psutil.Process(pid).open_files())
    except (psutil.NoSuchProcess, ValueError):  # a damaged number is no process either
        return False
    except (psutil.AccessDenied, OSError):
        return True  # somebody else's process: that it lives must do


def _describe(text: str) -> str:
    try:
        holder = json.loads(text)
        return f"process {holder['pid']} on {holder['host']}, started {holder['started']}"
    except (ValueError, KeyError, TypeError):
        return "another process"
