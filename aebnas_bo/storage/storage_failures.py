"""Errors of storage, with advice on how to fix them."""

from __future__ import annotations

import errno
import os
import re
from pathlib import Path

from aebnas_bo.errors import StorageError

IN_LIBRARY = re.compile(r"(?:os error |code: )(?P<number>[0-9]+)")  # error number in messages of Rust libraries
WAYS_OUT = {
    errno.ENOSPC: "free some space there",
    errno.EDQUOT: "free some space there, or have the quota raised",
    errno.EFBIG: "allow larger files (ulimit -f), or use another folder",
    errno.EROFS: "make the file system writable, or use another folder",
    errno.EACCES: "allow reading and writing it",
    errno.EPERM: "allow reading and writing it",
    errno.EMFILE: "allow more open files (ulimit -n)",
    errno.ENFILE: "close other programs: the machine has too many open files",
    errno.EIO: "check the disk",
}
EXHAUSTED = {errno.ENOSPC, errno.EDQUOT, errno.EMFILE, errno.ENFILE, errno.EIO}  # another folder may not help


def storage_error(path: Path | str | None, error: BaseException) -> StorageError:
    """Return an error that names the file, the reason and the way out.

    Args:
        path: The file; `None` takes the file that the error names, if any.
        error: Error of the operating system or a library.
    """
    if isinstance(error, StorageError):
        return error
    number = error.errno if isinstance(error, OSError) else None
    if number is None and (found := IN_LIBRARY.search(str(error))):
        number = int(found["number"])
    reason = os.strerror(number) if number is not None else str(error).strip().partition("\n")[0]
    place = path if path is not None else getattr(error, "filename", None)
    way_out = WAYS_OUT.get(number or 0, "remove the cause")
    problem = StorageError(f"{reason if place is None else f'{place}: {reason}'}; {way_out}")
    problem.errno = number
    problem.strerror = reason
    return problem
