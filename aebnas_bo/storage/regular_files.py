"""Reading of untrusted files: regular files only, up to a limit of bytes."""

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
        limit: Maximum number of bytes to read.

    Raises:
        OSError: If it is not a regular file, holds more than `limit` bytes, or cannot be read; `strerror` states why.
    """
    with open(path, "rb", opener=_open_at_once) as file:
        size = _checked_size(os.fstat(file.fileno()), path, limit)
        data = file.read(size + 1)
    if len(data) != size:  # the file is being written, or is in /proc, which states no sizes
        raise OSError(errno.EINVAL, f"its size is stated as {size} bytes but differs", str(path))
    return data


def check_regular(path: Path, limit: int | None = None) -> None:
    """Check a file before a library opens it.

    Args:
        path: The file.
        limit: Maximum number of bytes; `None` for no limit.

    Raises:
        OSError: If the file does not exist, is not a regular file, or holds more than `limit` bytes.
    """
    _checked_size(path.stat(), path, limit)


def special_kind(path: Path) -> str | None:
    """Return the kind of a device, pipe or socket, which must not be replaced; `None` for all else.

    Args:
        path: The path; a link counts as its target.
    """
    try:
        mode = os.stat(path).st_mode
    except OSError:
        return None
    return None if stat.S_ISREG(mode) or stat.S_ISDIR(mode) else _kind(mode)


def size_text(num_bytes: int) -> str:
    """Format a number of bytes, such as `512 MiB`."""
    for unit, size in (("GiB", 1 << 30), ("MiB", 1 << 20)):
        if num_bytes >= size:
            return f"{num_bytes / size:.4g} {unit}"
    return f"{num_bytes} bytes"


def _open_at_once(path: str, flags: int) -> int:
    """Open without blocking, because opening a pipe blocks until it has a writer."""
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


def _checked_size(found: os.stat_result, path: Path, limit: int | None) -> int:
    if not stat.S_ISREG(found.st_mode):
        raise OSError(errno.EINVAL, f"it is a {_kind(found.st_mode)}, not a regular file", str(path))
    if limit is not None and found.st_size > limit:
        raise OSError(errno.EFBIG, f"it holds {size_text(found.st_size)}, more than {size_text(limit)}", str(path))
    return found.st_size


def _kind(mode: int) -> str:
    return next((name for is_kind, name in KINDS if is_kind(mode)), "special file")
