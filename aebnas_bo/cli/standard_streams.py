"""Standard streams of a command, checked at its start so that no result is lost."""

from __future__ import annotations

import io
import os
import stat
import sys
from contextlib import suppress
from typing import cast

from aebnas_bo.errors import StorageError, UsageError
from aebnas_bo.preparation.consoles import UnfailingStream
from aebnas_bo.storage.storage_failures import storage_error

PIPE_CLOSED = 141  # exit code of a program that SIGPIPE ended, as shells report it


def check_streams() -> None:
    """Check that stdout is writable, and make errors in writing to stderr harmless.

    Characters that stdout cannot encode are written as backslash escapes; paths that are not UTF-8 keep their bytes.

    Raises:
        UsageError: If stdout is closed.
        StorageError: If its device or file system is full.
    """
    is_closed = sys.stdout is None
    if is_closed or sys.stderr is None or sys.stdin is None:
        _fill_descriptors()
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115  for the life of the process
    if not isinstance(sys.stderr, UnfailingStream):
        sys.stderr = cast(io.TextIOWrapper, UnfailingStream(sys.stderr))
    if is_closed:
        sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115  likewise
        raise UsageError("stdout is closed, but the result is written to it; redirect it to a file or to /dev/null")
    if isinstance(sys.stdout, io.TextIOWrapper):
        is_utf8 = sys.stdout.encoding.lower().replace("_", "-") in {"utf-8", "utf8"}
        sys.stdout.reconfigure(errors="surrogateescape" if is_utf8 else "backslashreplace")
    with suppress(io.UnsupportedOperation):  # not a file of the operating system
        _check_space(sys.stdout.fileno())


def write_stdout(text: str) -> None:
    """Write text to stdout and flush it.

    Raises:
        BrokenPipeError: If the reader of stdout has closed it.
        StorageError: If it cannot be written.
    """
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        raise storage_error("stdout", error) from error


def drop_stdout() -> None:
    """Redirect stdout to the null device, so that flushing at the end of the process does not fail."""
    with suppress(OSError, ValueError):
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, sys.stdout.fileno())
        os.close(null)


def _fill_descriptors() -> None:
    """Open closed standard streams; otherwise the next opened file would get their number and their output."""
    while (number := os.open(os.devnull, os.O_RDWR)) <= 2:
        os.set_inheritable(number, True)
    os.close(number)


def _check_space(descriptor: int) -> None:
    try:
        os.write(descriptor, b"")  # fails on a full device
        if stat.S_ISREG(os.fstat(descriptor).st_mode):
            space = os.fstatvfs(descriptor)
            free = space.f_bfree if os.geteuid() == 0 else space.f_bavail
            if space.f_blocks and not free:
                raise StorageError("stdout: its file system is full; free some space there")
    except StorageError:
        raise
    except OSError as error:
        raise storage_error("stdout", error) from error
