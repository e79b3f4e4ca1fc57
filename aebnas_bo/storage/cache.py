"""What is kept between runs to save time: used where it can be read, written where it can be, never needed."""

from __future__ import annotations

import logging
import os
import tempfile
from collections.abc import Callable
from pathlib import Path

from platformdirs import user_cache_path

from aebnas_bo.errors import StorageError
from aebnas_bo.storage.storage_failures import storage_error

logger = logging.getLogger(__name__)


def cache_folder() -> Path | None:
    """Return where things are kept: `AEBNAS_BO_CACHE`, else the user's cache folder; `None` without a home folder."""
    named = os.environ.get("AEBNAS_BO_CACHE")
    try:
        folder = Path(named).expanduser() if named else user_cache_path("aebnas_bo", appauthor=False)
    except RuntimeError:
        return None
    return None if folder.parts[:1] == ("~",) else folder  # as earlier versions of platformdirs say it


def cached_file(kind: str, name: str) -> Path | None:
    """Return where something is kept, whether it is there or not; `None`, with a warning, if it is nowhere.

    Args:
        kind: Folder within the cache.
        name: Name of the file.
    """
    folder = cache_folder()
    if folder is None:
        _warn("there is no home folder")
        return None
    return folder / kind / name


def can_keep(path: Path) -> bool:
    """Say whether a file can be kept, and warn if it cannot; to be asked before the work whose result it is.

    Args:
        path: The file, as `cached_file` returns it.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path.parent) as file:
            file.write(b"x")
    except OSError as error:
        _warn(str(storage_error(path.parent, error)))
        return False
    return True


def keep(path: Path, save: Callable[[], None]) -> None:
    """Keep a file; where that fails there is a warning and nothing is lost.

    Args:
        path: The file.
        save: Writes it.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        save()
    except (OSError, StorageError) as error:
        _warn(str(storage_error(path, error)))


def _warn(reason: str) -> None:
    logger.warning("nothing is kept for other runs (%s, or name a folder in AEBNAS_BO_CACHE)", reason)
