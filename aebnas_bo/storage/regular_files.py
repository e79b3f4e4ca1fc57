"""Reading a file that somebody else may have made: no device, pipe or socket, and never more than a limit."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

KINDS = (
    (stat.S_ISDIR, "folder"),
    (stat.S_ISFIFO, "pipe"),
    (stat.S_ISSOCK, "socket"),
    (stat.S_ISCHR, "device"),
    (stat.S_ISBLK, "device"),
)


def read_regular(path: Path, limit: int) -> bytes:
    """Return the contents of a regular file; links are followed.

    Args:
        path: The file.
        limit: Most bytes to read.

    Raises:
        OSError: If it is no regular file, holds more than `limit` bytes, or cannot be read; `strerror` says why.
    """
    with open(path, "rb", opener=_open_at_once) as file:
        size = _checked_size(os.fstat(file.fileno()), path, limit)
        data = file.read(size + 1)
    if len(data) != size:  # it is being written, or one of /proc, which state no size
        raise OSError(errno.EINVAL, f"it states {size} bytes and has another number of them", str(path))
    return data


def check_regular(path: Path, limit: int | None = None) -> None:
    """Check what is to be read by a library that opens files itself.

    Args:
        path: The file.
        limit: Most bytes it may hold; `None` for any number.

    Raises:
        OSError: If there is no such file, it is no regular file, or holds more than `limit` bytes.
    """
    _checked_size(path.stat(), path, limit)


def size_text(num_bytes: int) -> str:
    """Return a number of bytes for readers, such as `512 MiB`."""
    for unit, size in (("GiB", 1 << 30), ("MiB", 1 << 20)):
        if num_bytes >= size:
            return f"{num_bytes / size:.4g} {unit}"
    return f"{num_bytes} bytes"


def _open_at_once(path: str, flags: int) -> int:
    """Open without waiting, as opening a pipe waits for a writer; what was opened can then be looked at."""
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


def _checked_size(found: os.stat_result, path: Path, limit: int | None) -> int:
    if not stat.S_ISREG(found.st_mode):
        kind = next((name for is_kind, name in KINDS if is_kind(found.st_mode)), "special file")
        raise OSError(errno.EINVAL, f"it is a {kind}, not a file with contents of its own", str(path))
    if limit is not None and found.st_size > limit:
        raise OSError(errno.EFBIG, f"it holds {size_text(found.st_size)}, more than {size_text(limit)}", str(path))
    return found.st_size
