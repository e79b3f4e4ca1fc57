"""Detection of storage failures of a database (full disk, lock, missing permission), as opposed to damaged data."""

from __future__ import annotations

import re
import sqlite3
from pathlib import Path

from sqlalchemy import Engine, event
from sqlalchemy.engine import ExceptionContext

from aebnas_bo.errors import StorageError

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
# Codes of PostgreSQL (appendix A of its manual) that driver classes other than OperationalError have.
RIGHTS = {
    "42501": "let its owner grant the right, such as GRANT CREATE ON SCHEMA public TO the user",
    "25006": "use a server that accepts changes",
}
# Texts of OperationalError at the start of a connection, which has no code.
REASONS = (
    (re.compile("password|authentication|pg_hba"), "set PGPASSWORD or add a line to ~/.pgpass"),
    (re.compile('database "[^"]*" does not exist'), "create it with createdb"),
    (re.compile("too many clients|remaining connection slots"), "raise max_connections, or use fewer workers"),
    (re.compile("No space left|disk"), "free some space on the server"),
)
UNREACHABLE = "check that the server is running and can be reached"


def tell_storage_failures(engine: Engine, place: Path | str) -> None:
    """Make an engine raise `StorageError` if its storage fails.

    Args:
        engine: The engine.
        place: SQLite file or database URL.
    """

    def tell(context: ExceptionContext) -> StorageError | None:
        if context.is_pre_ping:  # a lost connection in the pool is replaced
            return None
        error = context.original_exception
        if isinstance(error, sqlite3.Error):
            way_out = WAYS_OUT.get(getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF)
            if way_out is not None:
                return StorageError(f"{place}: {error}; {way_out}")
            return None
        code = str(getattr(error, "sqlstate", None) or "")
        is_of_server = any(one.__name__ == "OperationalError" for one in type(error).__mro__)
        if not is_of_server and code not in RIGHTS:
            return None
        reason = str(error).strip().partition("\n")[0]
        found = (way_out for pattern, way_out in REASONS if pattern.search(reason))
        url = engine.url.render_as_string(hide_password=True)
        return StorageError(f"{url}: {reason}; {RIGHTS.get(code) or next(found, UNREACHABLE)}")

    event.listen(engine, "handle_error", tell)
