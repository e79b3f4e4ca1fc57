"""Atomic writing of files, and removal of temporary files that a killed process left."""

from __future__ import annotations

import os
import re
import shutil
import socket
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil

from aebnas_bo.errors import StorageError
from aebnas_bo.storage.regular_files import special_kind
from aebnas_bo.storage.storage_failures import storage_error

DATABASE_SUFFIXES = ("", "-journal", "-wal", "-shm")  # of a study's database and of SQLite's files next to it


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary path in the folder of a file; the file is replaced at the end of the block.

    If the block fails, the file stays as it is, and the temporary file is removed. What was written is on the disk
    before it gets the name of the file, so that after a power failure the file is whole too. Temporary files that
    killed writers of the same file left are removed first. A device or a pipe is not replaced: for root, `/dev/null`
    would become a file.

    Args:
        path: The file.

    Raises:
        StorageError: If it cannot be written.
    """
    if kind := special_kind(path):
        raise StorageError(f"{path}: is a {kind}, not a regular file; use another file")
    _remove_leftovers(path)
    temporary = _temporary(path)
    try:
        yield temporary
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException as error:
        with suppress(OSError):  # a file system that became read-only must not hide why
            for suffix in DATABASE_SUFFIXES:
                temporary.with_name(temporary.name + suffix).unlink(missing_ok=True)
        if isinstance(error, OSError):
            raise storage_error(path, error) from error
        raise


@contextmanager
def filling(folder: Path) -> Iterator[Path]:
    """Yield a temporary folder; at the end of the block its files are moved to a folder, replacing existing ones.

    If the block fails, the folder stays as it is, or absent, and nothing temporary is left. Temporary folders that
    killed writers of the same folder left are removed first.

    Args:
        folder: The folder; it and its parents are created if needed.
    """
    _remove_leftovers(folder, is_folder=True)
    made = [path for path in (folder, *folder.parents) if not path.exists()]
    temporary = _temporary(folder)
    try:
        temporary.mkdir(parents=True)
        yield temporary
        folder.mkdir(exist_ok=True)
        for file in temporary.iterdir():
            file.replace(folder / file.name)
        made = []
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
        for path in made:
            with suppress(OSError):  # not empty, or never created
                path.rmdir()


def write_text(path: Path, text: str) -> None:
    """Write a text file in UTF-8 atomically."""
    write_bytes(path, text.encode("utf-8"))


def write_bytes(path: Path, data: bytes) -> None:
    """Write a file atomically."""
    with replacing(path) as temporary:
        temporary.write_bytes(data)


def _temporary(path: Path) -> Path:
    return path.with_name(f"{path.name}.{_host()}-{os.getpid()}.tmp")


def _host() -> str:
    """Return a short number for this machine: processes of several may write into one folder."""
    return f"{zlib.crc32(socket.gethostname().encode()):08x}"


def _remove_leftovers(path: Path, *, is_folder: bool = False) -> None:
    """Remove what writers of a file or folder left that were killed on this machine; all else stays."""
    host = f"{_host()}-" if is_folder else f"(?:{_host()}-)?"  # earlier versions named no machine
    pattern = re.compile(rf"{re.escape(path.name)}\.{host}([1-9][0-9]{{0,8}})\.tmp(?:{'|'.join(DATABASE_SUFFIXES)})")
    with suppress(OSError):  # what cannot be removed holds nothing up
        with os.scandir(path.parent) as entries:
            found = [(Path(entry.path), match) for entry in entries if (match := pattern.fullmatch(entry.name))]
        for leftover, match in found:
            if leftover.is_symlink() or leftover.is_dir() != is_folder or _is_alive(int(match[1])):
                continue
            if not is_folder:
                leftover.unlink()
            elif not any(one.is_dir() for one in leftover.iterdir()):  # of a user, whatever its name
                shutil.rmtree(leftover)


def _is_alive(process: int) -> bool:
    return process != os.getpid() and psutil.pid_exists(process)  # of its own number, an earlier process left it
