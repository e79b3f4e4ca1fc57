"""Engines of SQLAlchemy for the databases of studies: SQLite in a run folder, or PostgreSQL by URL."""

from __future__ import annotations

import os
import socket
from pathlib import Path
from urllib.parse import quote

from sqlalchemy import URL, Engine, create_engine, event, make_url
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import ArgumentError
from sqlalchemy.pool import ConnectionPoolEntry

from aebnas_bo.errors import UsageError
from aebnas_bo.search.sql_failures import tell_storage_failures
from aebnas_bo.storage.shared_study import EXPECTED, database_url_problem

BUSY_TIMEOUT_S = 30
DRIVER = "postgresql+psycopg"
LONGEST_NAME = 63  # bytes of application_name in PostgreSQL
# Without these, libpq waits for ever for a server behind a cut network, and the server for a machine that was switched
# off, whose locks it keeps. Options in the URL take precedence.
CLIENT = {
    "connect_timeout": "10",  # seconds
    "keepalives_idle": "30",
    "keepalives_interval": "10",
    "keepalives_count": "3",
    "tcp_user_timeout": "60000",  # milliseconds
}
SERVER = "-c tcp_keepalives_idle=30 -c tcp_keepalives_interval=10 -c tcp_keepalives_count=3"


def sqlite_engine(path: Path) -> Engine:
    """Return an engine for a SQLite file, which it creates if it is missing.

    Args:
        path: The file.
    """
    # Build the URL from its parts: in a URL string, a question mark in the path would start the query.
    engine = create_engine(URL.create("sqlite", database=str(path.resolve())))
    tell_storage_failures(engine, path)
    event.listen(engine, "connect", _configure_sqlite)
    return engine


def read_only_sqlite_engine(path: Path) -> Engine:
    """Return an engine that does not change the folder of a SQLite file.

    A database in WAL mode that is not open has no log file; reading it would create one unless the file is opened as
    immutable. If a log exists, it must be read too, without repairing the index of a killed process.

    Args:
        path: The file.
    """
    has_log = path.with_name(f"{path.name}-wal").exists()
    query = {"uri": "true", "mode": "ro", **({"readonly_shm": "1"} if has_log else {"immutable": "1"})}
    engine = create_engine(URL.create("sqlite", database=f"file:{quote(str(path.resolve()))}", query=query))
    event.listen(engine, "connect", _wait_for_others)
    tell_storage_failures(engine, path)
    return engine


def postgresql_engine(url: str, *, is_read_only: bool = False) -> Engine:
    """Return an engine for a PostgreSQL database.

    Args:
        url: The URL, without a password; libpq reads PGPASSWORD and ~/.pgpass.
        is_read_only: Whether the server refuses all changes.

    Raises:
        UsageError: If the URL is invalid, or psycopg is not installed.
    """
    problem = database_url_problem(url)
    if problem is not None:
        raise UsageError(f"database URL: {problem}")
    try:
        parsed = make_url(url).set(drivername=DRIVER)
    except (ArgumentError, ValueError):
        raise UsageError(f"database URL: {EXPECTED}") from None
    options = {"application_name": process_name(), **CLIENT}
    connect = {name: value for name, value in options.items() if name not in parsed.query}
    if "options" not in parsed.query:
        connect["options"] = SERVER
    try:
        engine = create_engine(
            parsed,
            pool_pre_ping=True,  # a restarted server costs one new connection, not the study
            connect_args=connect,
            execution_options={"postgresql_readonly": True} if is_read_only else {},
        )
    except ModuleNotFoundError as error:
        raise UsageError(
            f"a PostgreSQL database needs the package {error.name}, which is not installed; "
            "pip install 'aebnas_bo[postgres]'"
        ) from error
    tell_storage_failures(engine, url)
    return engine


def process_name() -> str:
    """Return the name under which the server knows this process."""
    return f"aebnas_bo process {os.getpid()} on {socket.gethostname()}".encode()[:LONGEST_NAME].decode(errors="ignore")


def _configure_sqlite(connection: DBAPIConnection, entry: ConnectionPoolEntry) -> None:
    _wait_for_others(connection, entry)
    cursor = connection.cursor()
    for pragma in ("journal_mode=WAL", "synchronous=FULL"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _wait_for_others(connection: DBAPIConnection, _: ConnectionPoolEntry) -> None:
    cursor = connection.cursor()
    cursor.execute(f"PRAGMA busy_timeout={BUSY_TIMEOUT_S * 1000}")
    cursor.close()
