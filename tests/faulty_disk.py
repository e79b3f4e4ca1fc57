"""A disk that is full at the n-th write: of files, folders and databases."""

import errno
import os
import sqlite3
from pathlib import Path

import pytest
from sqlalchemy.engine.default import DefaultDialect

READS = ("SELECT", "PRAGMA")


class FaultyDisk:
    """Counts writes and lets one fail, or all from one on, as the libraries below report it."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.fail_at, self.lasts = -1, False
        self.writes: list[str] = []
        for owner, name in ((Path, "write_bytes"), (Path, "write_text"), (Path, "mkdir"), (Path, "replace"),
                            (os, "fsync")):  # fmt: skip
            self._watch(patch, owner, name, OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)))
        full = sqlite3.OperationalError("database or disk is full")
        full.sqlite_errorcode = sqlite3.SQLITE_FULL
        for name in ("do_execute", "do_commit"):
            self._watch(patch, DefaultDialect, name, full)

    def _watch(self, patch: pytest.MonkeyPatch, owner: object, name: str, error: Exception) -> None:
        original = getattr(owner, name)

        def write(*arguments, **named):
            texts = [one for one in arguments if isinstance(one, str)]
            if name == "do_execute" and texts[0].lstrip().startswith(READS):
                return original(*arguments, **named)
            if name == "mkdir" and arguments[0].exists():
                return original(*arguments, **named)
            self.writes.append(name)
            number = len(self.writes) - 1
            if number == self.fail_at or (self.lasts and number > self.fail_at):
                raise error
            return original(*arguments, **named)

        patch.setattr(owner, name, write)

    def reset(self, fail_at: int = -1, *, lasts: bool = False) -> None:
        """Begin to count again.

        Args:
            fail_at: How many writes succeed before one fails; -1 for all.
            lasts: Whether all later ones fail too.
        """
        self.writes, self.fail_at, self.lasts = [], fail_at, lasts
