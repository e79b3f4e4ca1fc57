"""The standard streams of a command: checked before its work, so that no result is lost for want of a place."""

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

PIPE_CLOSED = 141  # as a shell reports a program that SIGPIPE ended


def check_streams() -> None:
    """See that stdout can be written to, and let progress on stderr never end a command.

    Text that stdout cannot encode is written with backslashes; paths that are not UTF-8, with their own bytes.

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
        raise UsageError("stdout is closed, and the result goes there; redirect it to a file or to /dev/null")
    if isinstance(sys.stdout, io.TextIOWrapper):
        is_utf8 = sys.stdout.encoding.lower().replace("_", "-") in {"utf-8", "utf8"}
        sys.stdout.reconfigure(errors="surrogateescape" if is_utf8 else "backslashreplace")
    with suppress(io.UnsupportedOperation):  # no file of the operating system
        _check_space(sys.stdout.fileno())


def write_stdout(text: str) -> None:
    """Write text to stdout at once.

    Raises:
        BrokenPipeError: If whoever read it has left.
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
    """Send to nowhere what is still to be written to stdout, so that the end of the process does not fail too."""
    with suppress(OSError, ValueError):
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, sys.stdout.fileno())
        os.close(null)


def _fill_descriptors() -> None:
    """Open closed standard streams, or the first file that is opened would receive what is written to them."""
    while (number := os.open(os.devnull, os.O_RDWR)) <= 2:
        os.set_inheritable(number, True)
    os.close(number)


def _check_space(descriptor: int) -> None:
    try:
        os.write(descriptor, b"")  # a full device refuses even that
        if stat.S_ISREG(os.fstat(descriptor).st_mode):
            space = os.fstatvfs(descriptor)
            free = space.f_bfree if os.geteuid() == 0 else space.f_bavail
            if space.f_blocks and not free:
                raise StorageError("stdout: its file system is full; free some space there")
    except StorageError:
        raise
    except OSError as error:
        raise storage_error("stdout", error) from error
