"""A throwaway PostgreSQL server on loopback, for tests and benchmarks."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path

from sqlalchemy import create_engine, text

BINARIES = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
USER = "tester"
WITH_PASSWORD = "guarded"  # a user, to be created, who needs a password
NEEDED = "AEBNAS_BO_NEED_POSTGRESQL"  # set to 1, tests fail instead of being skipped without a server


def binaries() -> Path | None:
    """Return the folder of `initdb` and `pg_ctl`, Debian's newest or the one on the PATH."""
    if BINARIES:
        return BINARIES[-1].parent
    found = shutil.which("initdb")
    return Path(found).parent if found is not None else None


class PostgresqlServer:
    """A server with its own data folder.

    Args:
        folder: An empty folder that the user who runs the server can write to.
        durable: Whether commits wait for the disk.
    """

    def __init__(self, folder: Path, *, durable: bool = False) -> None:
        self._data = folder / "data"
        self._log = folder / "log"
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = int(free.getsockname()[1])
        self._numbers = count()
        self._call("initdb", "-A", "trust", "-U", USER, "-E", "UTF8", "--no-sync", "-D", str(self._data))
        rules = self._data / "pg_hba.conf"
        rules.write_text(f"host all {WITH_PASSWORD} 127.0.0.1/32 scram-sha-256\n{rules.read_text()}")
        settings = {"listen_addresses": "127.0.0.1", "port": self.port, "unix_socket_directories": "",
                    "fsync": "on" if durable else "off", "max_connections": 60}  # fmt: skip
        self._options = " ".join(f"-c {name}='{value}'" for name, value in settings.items())

    def start(self) -> None:
        """Start the server and wait until it answers."""
        self._call("pg_ctl", "-D", str(self._data), "-l", str(self._log), "-o", self._options, "-w", "start")

    def stop(self, mode: str = "fast") -> None:
        """Stop the server; `immediate` ends it as a power failure does."""
        self._call("pg_ctl", "-D", str(self._data), "-m", mode, "-w", "stop")

    def url(self, database: str = "postgres") -> str:
        """Return the URL of a database."""
        return f"postgresql+psycopg://{USER}@127.0.0.1:{self.port}/{database}"

    def new_database(self) -> str:
        """Create an empty database and return its URL."""
        name = f"test{next(self._numbers)}"
        self.execute(f"CREATE DATABASE {name}")
        return self.url(name)

    def execute(self, *statements: str, database: str = "postgres") -> list[tuple[object, ...]]:
        """Execute statements, one transaction each, and return the rows of the last."""
        rows: list[tuple[object, ...]] = []
        engine = create_engine(self.url(database), isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            for statement in statements:
                result = connection.execute(text(statement))
                rows = [tuple(row) for row in result] if result.returns_rows else []
        engine.dispose()
        return rows

    def _call(self, name: str, *arguments: str) -> None:
        where = binaries()
        assert where is not None
        as_user = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []
        # files, not pipes, which the server would keep open
        with tempfile.TemporaryFile() as output:
            command = [*as_user, str(where / name), *arguments]
            streams = {"stdin": subprocess.DEVNULL, "stdout": output, "stderr": output}
            ended = subprocess.run(command, check=False, cwd="/", **streams)
            if ended.returncode:
                output.seek(0)
                raise RuntimeError(f"{name} failed: {output.read().decode()}")


@contextmanager
def postgresql_server(*, durable: bool = False) -> Iterator[PostgresqlServer]:
    """Start a server and remove it at the end.

    Raises:
        FileNotFoundError: If PostgreSQL is not installed.
    """
    if binaries() is None:
        raise FileNotFoundError("PostgreSQL's initdb is not installed (Debian: apt-get install postgresql)")
    folder = Path(tempfile.mkdtemp(prefix="aebnas-postgresql-"))
    try:
        if os.geteuid() == 0:
            shutil.chown(folder, "postgres", "postgres")
        server = PostgresqlServer(folder, durable=durable)
        server.start()
        try:
            yield server
        finally:
            with suppress(RuntimeError):  # a test stopped it
                server.stop("immediate")
    finally:
        shutil.rmtree(folder, ignore_errors=True)
