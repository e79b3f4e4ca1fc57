"""Tables of studies in a database: creation, and checks before a study is read."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import Connection, Engine, insert, inspect, select, text
from sqlalchemy.exc import SQLAlchemyError

from aebnas_bo.errors import CorruptStateError, StorageError, one_line
from aebnas_bo.search.database_clock import DatabaseClock
from aebnas_bo.search.proposer_lock import SCHEMA, SPACE
from aebnas_bo.search.study_record import StudyRecord
from aebnas_bo.search.study_rows import METADATA, OWN_STUDY, STUDIES, DamagedRowError, study_columns, study_of
from aebnas_bo.storage.regular_files import check_regular
from aebnas_bo.storage.shared_study import SharedStudy
from aebnas_bo.storage.version import STUDY_FORMAT

WAY_OUT = "restore it from a copy, or start another run folder"
# Exceptions that a damaged file causes in SQLite, SQLAlchemy and Python.
UNREADABLE = (SQLAlchemyError, ValueError, TypeError, OverflowError, AttributeError, RecursionError)
NEXT_NUMBER = "SELECT nextval(pg_get_serial_sequence('study', 'id'))"
OTHER_OBJECTS = "SELECT name FROM sqlite_master WHERE type NOT IN ('table', 'index') LIMIT 3"


def add_study(engine: Engine, study: StudyRecord, place: Path | str) -> int:
    """Create the tables if they are missing, and add a study.

    Args:
        engine: Engine of the database.
        study: The study.
        place: SQLite file or URL, for messages.

    Returns:
        Number of the study.

    Raises:
        IntegrityError: If a file already holds a study.
        CorruptStateError: If a shared database has such tables of another version.
        StorageError: If it cannot be written.
    """
    is_file = isinstance(place, Path)
    with engine.begin() as connection:
        if not is_file:  # two processes that create the tables at once would fail
            connection.execute(text(f"SELECT pg_advisory_xact_lock({SPACE}, {SCHEMA})"))
        METADATA.create_all(connection)
        if not is_file:
            check_tables(connection, place)
    with engine.begin() as connection:
        number = OWN_STUDY
        if not is_file:  # the database chooses the number, which the hash includes
            number = int(connection.execute(text(NEXT_NUMBER)).scalar_one())
        connection.execute(insert(STUDIES).values(**study_columns(study, number), created=DatabaseClock()))
    if is_file:
        _empty_log(engine, place)
    return number


def _empty_log(engine: Engine, place: Path | str) -> None:
    """Move what SQLite wrote to its log into the file itself; closing tries this too, but hides a full disk."""
    with engine.connect() as connection:
        if connection.execute(text("PRAGMA wal_checkpoint(TRUNCATE)")).scalar():
            raise StorageError(f"{place}: is in use by another process; use another folder")


def check_tables(connection: Connection, place: object) -> None:
    """Check that the tables of a shared database have the columns of this version.

    Args:
        connection: Connection to the database.
        place: Name of the database, for the message.

    Raises:
        CorruptStateError: If they do not.
    """
    found = inspect(connection)
    for name, table in METADATA.tables.items():
        if not found.has_table(name):
            raise CorruptStateError(f"{place} holds no study of this program; check the URL, or start a run with it")
        columns = {column["name"] for column in found.get_columns(name)}
        if columns != set(table.columns.keys()):
            raise CorruptStateError(
                f"{place} has a table {name} of another version or another program; open it with the version of "
                "aebnas_bo that wrote it, or use another database"
            )


def read_study(engine: Engine, place: Path | SharedStudy) -> StudyRecord:
    """Read a study after checking its database.

    Args:
        engine: Engine of the database.
        place: SQLite file, or place in a shared database.

    Raises:
        CorruptStateError: If there is none, or it is damaged or of another version.
    """
    try:
        if isinstance(place, Path):
            check_regular(place)
    except FileNotFoundError as error:
        raise CorruptStateError(f"{place} does not exist; give the folder of a run") from error
    except OSError as error:
        raise CorruptStateError(f"{place} cannot be read ({error.strerror}); {WAY_OUT}") from error
    try:
        return _read_study(engine, place)
    except DamagedRowError as error:
        raise CorruptStateError(f"{place} is damaged: the study {error}; {WAY_OUT}") from error
    except UNREADABLE as error:
        raise CorruptStateError(f"{place} cannot be read ({reason_of_failure(error)}); {WAY_OUT}") from error


def _read_study(engine: Engine, place: Path | SharedStudy) -> StudyRecord:
    if isinstance(place, SharedStudy):
        with engine.connect() as connection:
            check_tables(connection, place.url)
    elif not inspect(engine).has_table("study"):
        raise CorruptStateError(f"{place} holds no study of this program; {WAY_OUT}")
    with engine.connect() as connection:
        own = select(STUDIES)
        if isinstance(place, Path):
            _check_file(connection)
            number = OWN_STUDY
        else:
            number = place.study_id
            own = own.where(STUDIES.c.id == number)
        # the format first: the columns of another one may differ
        found = connection.execute(own.with_only_columns(STUDIES.c.format_version)).first()
        if found is None and isinstance(place, SharedStudy):
            raise CorruptStateError(f"{place.url} holds no study {number}; `aebnas-bo studies URL` lists its studies")
        _check_format(place, None if found is None else found[0])
        row = connection.execute(own.where(STUDIES.c.id == number)).mappings().first()
        if row is None:
            raise DamagedRowError("is missing")
        return study_of(row)


def _check_file(connection: Connection) -> None:
    others = connection.execute(text(OTHER_OBJECTS)).scalars().all()
    if others:  # their code would run with every statement, and might never end
        raise DamagedRowError(f"comes with a view or trigger ({one_line(', '.join(map(str, others)))})")
    found = connection.execute(text("PRAGMA quick_check(1)")).scalar()
    if found != "ok":
        raise DamagedRowError(f"is in a file that SQLite finds damaged ({one_line(str(found))})")


def _check_format(place: Path | SharedStudy, found: object) -> None:
    if not isinstance(found, int):
        raise DamagedRowError(f"has the format {found!r}")
    if found > STUDY_FORMAT:
        raise CorruptStateError(
            f"{place} was written by a newer version of aebnas_bo (format {found}, this one reads up to "
            f"{STUDY_FORMAT}): update aebnas_bo"
        )
    if found < STUDY_FORMAT:
        raise CorruptStateError(
            f"{place} was written by an older version of aebnas_bo (format {found}, this one reads {STUDY_FORMAT}): "
            "open it with that version, or start another run folder"
        )


def reason_of_failure(error: Exception) -> str:
    """Return the first line of an error's text, or the name of its type if the text is empty.

    Args:
        error: The error.
    """
    return one_line((str(error).strip() or type(error).__name__).splitlines()[0])
