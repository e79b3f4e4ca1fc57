"""Cache between runs; it is optional, so errors in reading or writing it are not fatal."""

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
    """Return the cache folder: `AEBNAS_BO_CACHE`, or the user's cache folder; `None` without a home folder."""
    named = os.environ.get("AEBNAS_BO_CACHE")
    try:
        folder = Path(named).expanduser() if named else user_cache_path("aebnas_bo", appauthor=False)
    except RuntimeError:
        return None
    return None if folder.parts[:1] == ("~",) else folder  # earlier versions of platformdirs return `~` then


def cached_file(kind: str, name: str) -> Path | None:
    """Return the path of a cached file, which may not exist; return `None` with a warning without a cache folder.

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
    """Return whether a file can be cached, and warn if not; call it before computing the contents.

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
    """Cache a file; a failure is logged as a warning.

    Args:
        path: The file.
        save: Function that writes it.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        save()
    except (OSError, StorageError) as error:
        _warn(str(storage_error(path, error)))


def _warn(reason: str) -> None:
    logger.warning("nothing is cached for other runs (%s, or set AEBNAS_BO_CACHE to a folder)", reason)
