"""Detection of storage failures of a database (full disk, lock, missing permission), as opposed to damaged data."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from sqlalchemy import Engine, event
from sqlalchemy.engine import ExceptionContext

from aebnas_bo.errors import StorageError
from aebnas_bo.storage.storage_failures import storage_error

FULL = "free some space there"
BUSY = "wait for the other program that uses it to end"
NO_ACCESS = "allow reading and writing it and its folder"
# Primary result codes of SQLite (https://www.sqlite.org/rescode.html). Other codes concern the statement or the data.
WAYS_OUT = {
    sqlite3.SQLITE_PERM: NO_ACCESS,
    sqlite3.SQLITE_BUSY: BUSY,
    sqlite3.SQLITE_LOCKED: BUSY,
    sqlite3.SQLITE_READONLY: NO_ACCESS,
    sqlite3.SQLITE_IOERR: "free some space there, or check the disk",
    sqlite3.SQLITE_FULL: FULL,
    sqlite3.SQLITE_CANTOPEN: "free some space there, or allow reading and writing it and its folder",
}


def tell_storage_failures(engine: Engine, place: Path | str) -> None:
    """Make an engine raise `StorageError` if its storage fails.

    Args:
        engine: The engine.
        place: SQLite file or database URL.
    """

    def tell(context: ExceptionContext) -> StorageError | None:
        error = context.original_exception
        if isinstance(error, sqlite3.Error):
            way_out = WAYS_OUT.get(getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF)
            if way_out is not None:
                return StorageError(f"{place}: {error}; {way_out}")
        elif type(error).__name__ == "OperationalError":  # any driver: the server is unreachable, or its disk is full
            url = engine.url.render_as_string(hide_password=True)
            return storage_error(url, Exception(str(error)))
        return None

    event.listen(engine, "handle_error", tell)
