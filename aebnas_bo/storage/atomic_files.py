"""Writing files whole or not at all: the temporary names, and the removal of what a killed process left."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from aebnas_bo.storage.storage_failures import storage_error

# `NAME.PID.tmp`; SQLite adds files of its own to that of a study.
TEMPORARY = re.compile(r"(?P<name>.+)\.[1-9][0-9]*\.tmp(-journal|-wal|-shm)?", flags=re.DOTALL)


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give a temporary path in the folder of a file; the file is replaced at the end of the block.

    If the block fails, the file stays as it is, and the temporary file is removed. What was written is on the disk
    before it gets the name of the file, so that after a power failure the file is whole too.

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
        with suppress(OSError):  # a file system that became read-only must not hide why
            temporary.unlink(missing_ok=True)
        if isinstance(error, OSError):
            raise storage_error(path, error) from error
        raise


@contextmanager
def filling(folder: Path) -> Iterator[Path]:
    """Give a temporary folder; at the end of the block its files get into a folder, replacing those of their names.

    If the block fails, the folder stays as it is, or absent, and nothing temporary is left.

    Args:
        folder: The folder; made, with those above it, if it is not there.
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
            with suppress(OSError):  # not empty, or never made
                path.rmdir()


def write_text(path: Path, text: str) -> None:
    """Write a text file in UTF-8 whole or not at all."""
    write_bytes(path, text.encode("utf-8"))


def write_bytes(path: Path, data: bytes) -> None:
    """Write a file whole or not at all."""
    with replacing(path) as temporary:
        temporary.write_bytes(data)


def remove_leftovers(folder: Path, names: Collection[str]) -> None:
    """Remove the temporary files of writers that were killed. Folders, links and all other files stay.

    Args:
        folder: The folder; no other process may be writing these files.
        names: Names of the files that the writers were to replace.
    """
    with os.scandir(folder) as entries:
        found = [(entry, TEMPORARY.fullmatch(entry.name)) for entry in entries]
    for entry, match in found:
        if match and match["name"] in names and entry.is_file(follow_symlinks=False):
            Path(entry.path).unlink()
