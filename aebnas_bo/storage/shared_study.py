"""Place of a study in a shared database, recorded in a small file of its run folder."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Self
from urllib.parse import parse_qs, urlsplit

from aebnas_bo.errors import CorruptStateError
from aebnas_bo.storage.sealed_json import read_sealed, write_sealed

SCHEMES = ("postgresql+psycopg", "postgresql")
SECRETS = ("password", "sslpassword")  # options of libpq
WAY_OUT = "restore it from a copy, or start another run folder"
EXPECTED = "expected postgresql+psycopg://USER@HOST:PORT/DATABASE"


def database_url_problem(url: str) -> str | None:
    """Return why a URL does not name a database that can hold studies, or `None` if it does.

    The text never contains the URL, which may hold a password.

    Args:
        url: The URL.
    """
    try:
        parts = urlsplit(url)
        has_secret = parts.password is not None or not set(SECRETS).isdisjoint(parse_qs(parts.query))
        scheme, database, _ = parts.scheme, parts.path.strip("/"), parts.port
    except ValueError:
        return f"{EXPECTED}; characters such as / and @ in a name are written as %2F and %40"
    if has_secret:
        return (
            "holds a password, which would be written to files; leave it out, and set PGPASSWORD or add a line to "
            "~/.pgpass"
        )
    if scheme not in SCHEMES or not database or not url.isprintable():
        return EXPECTED
    return None


def is_database_url(text: str) -> bool:
    """Return whether a text is meant as the URL of a shared database, not as a path."""
    return "://" in text


@dataclass(frozen=True)
class SharedStudy:
    """Place of a study in a shared database.

    Args:
        url: URL of the database, without a password.
        study_id: Number of the study in the database, from 1.
    """

    url: str
    study_id: int

    def __str__(self) -> str:
        return f"study {self.study_id} of {self.url}"

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read the file that `write` wrote.

        Args:
            path: The file.

        Raises:
            CorruptStateError: If it cannot be read or was changed.
        """
        document = read_sealed(path, WAY_OUT)
        url, study_id = document.get("url"), document.get("study_id")
        if (
            not isinstance(url, str)
            or database_url_problem(url) is not None
            or not isinstance(study_id, int)
            or study_id < 1
        ):
            raise CorruptStateError(f"{path} does not name a study of a shared database; {WAY_OUT}")
        return cls(url, study_id)

    def write(self, path: Path) -> None:
        """Write the place to a file.

        Args:
            path: The file.

        Raises:
            StorageError: If it cannot be written.
        """
        write_sealed(path, asdict(self))
