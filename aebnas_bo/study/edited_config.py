"""`config.yaml` of a study: written from the database; an edited file has no effect and is kept under another name."""

from __future__ import annotations

import json
import logging
import os
from itertools import count
from pathlib import Path

from aebnas_bo.config.loading import dump_config, parse_config
from aebnas_bo.config.schema import Config
from aebnas_bo.errors import ConfigError
from aebnas_bo.search.trial_store import TrialStore
from aebnas_bo.storage.atomic_files import write_text
from aebnas_bo.storage.regular_files import read_regular
from aebnas_bo.storage.run_folder import RunFolder
from aebnas_bo.storage.storage_failures import storage_error
from aebnas_bo.study.resuming import differing_settings

MOST_BYTES = 1 << 20
MOST_NAMED = 3  # settings named in the message

logger = logging.getLogger(__name__)


def replace_config(config: Config, store: TrialStore, folder: RunFolder) -> None:
    """Replace the configuration of a study by one that leads to equal trials, in the database and in the run folder.

    Args:
        config: The configuration.
        store: The study.
        folder: Its run folder.

    Raises:
        StorageError: If it cannot be written.
    """
    keep_edited(folder, store.study.config)
    store.set_config(dump_config(config))
    write_text(folder.config, dump_config(config))


def keep_edited(folder: RunFolder, stored: str) -> None:
    """Rename `config.yaml` and say so if it is not the stored configuration; it is written again from the study.

    Args:
        folder: The run folder.
        stored: Text of the configuration in the study.

    Raises:
        StorageError: If the file cannot be renamed.
    """
    path = folder.config
    try:
        text: str | None = read_regular(path, MOST_BYTES).decode()
    except FileNotFoundError:
        return
    except (OSError, UnicodeDecodeError):
        text = None
    if text is not None and text.splitlines() == stored.splitlines():
        return
    kept = _unused(path)
    try:
        os.rename(path, kept)
    except OSError as error:
        raise storage_error(path, error) from error
    logger.warning(
        "%s was edited%s, which does not change a study that has begun; it is kept as %s. Change settings with --set, "
        "or start another run with --config %s",
        path,
        "" if text is None else _changes(stored, text),
        kept.name,
        kept,
    )


def _unused(path: Path) -> Path:
    """Return the first name like `config.edited.yaml` that no file has."""
    names = (f"{path.stem}.edited{'' if number == 1 else f'-{number}'}{path.suffix}" for number in count(1))
    return next(place for name in names if not os.path.lexists(place := path.with_name(name)))


def _changes(stored: str, text: str) -> str:
    """Return the changed settings in parentheses; nothing if there are none or the text is no configuration."""
    try:
        found = differing_settings(parse_config(stored, "the study"), parse_config(text, "the file"))
    except ConfigError:
        return ""
    changes = [f"{key}: {json.dumps(new)}" for key, (_, new) in sorted(found.items())]
    more = [f"and {len(changes) - MOST_NAMED} more"] if len(changes) > MOST_NAMED else []
    return f" ({', '.join(changes[:MOST_NAMED] + more)})" if changes else ""
