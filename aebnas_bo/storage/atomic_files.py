"""Atomic writing of files, and removal of temporary files that a killed process left."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from aebnas_bo.storage.storage_failures import storage_error

# `NAME.PID.tmp`; SQLite adds suffixes to the file of a study.
TEMPORARY = re.compile(r"(?P<name>.+)\.[1-9][0-9]*\.tmp(-journal|-wal|-shm)?", flags=re.DOTALL)


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary path in the folder of a file; the file is replaced at the end of the block.

    If the block fails, the file is unchanged and the temporary file is removed. Contents are flushed to disk before the
    file is renamed, so that the file is complete after a power failure too.

    Args:
        path: The file.

    Raises:
        StorageError: If it cannot be written.
    """
    temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    try:
        yield temporary
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException as error:
        with suppress(OSError):  # must not hide the original error, for example on a file system turned read-only
            temporary.unlink(missing_ok=True)
        if isinstance(error, OSError):
            raise storage_error(path, error) from error
        raise


@contextmanager
def filling(folder: Path) -> Iterator[Path]:
    """Yield a temporary folder; at the end of the block its files are moved to a folder, replacing existing ones.

    If the block fails, the folder is unchanged and the temporary folder is removed.

    Args:
        folder: The folder; it and its parents are created if needed.
    """
    made = [path for path in (folder, *folder.parents) if not path.exists()]
    temporary = folder.with_name(f"{folder.name}.{os.getpid()}.tmp")
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


def remove_leftovers(folder: Path, names: Collection[str]) -> None:
    """Remove the temporary files of killed writers. Folders, links and other files stay.

    Args:
        folder: The folder; no other process may write these files.
        names: Names of the files that the writers would have replaced.
    """
    with os.scandir(folder) as entries:
        found = [(entry, TEMPORARY.fullmatch(entry.name)) for entry in entries]
    for entry, match in found:
        if match and match["name"] in names and entry.is_file(follow_symlinks=False):
            Path(entry.path).unlink()
