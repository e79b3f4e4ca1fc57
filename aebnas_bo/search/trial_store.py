"""Trial store: one study per database, one transaction per change.

The default is SQLite in the run folder; a URL selects any database that SQLAlchemy supports. A killed process loses no
finished trial.
"""

from __future__ import annotations

import shlex
from dataclasses import replace
from pathlib import Path
from typing import Self
from urllib.parse import quote

from sqlalchemy import URL, Engine, create_engine, event, inspect, select, text, update
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import IntegrityError, SQLAlchemyError
from sqlalchemy.orm import Session
from sqlalchemy.pool import ConnectionPoolEntry

from aebnas_bo.errors import CorruptStateError, StorageError, one_line
from aebnas_bo.search.sql_failures import tell_storage_failures
from aebnas_bo.search.study_record import StudyRecord
from aebnas_bo.search.study_rows import (
    Base,
    DamagedRowError,
    StudyRow,
    TrialRow,
    study_columns,
    study_of,
    trial_columns,
    trial_of,
)
from aebnas_bo.search.trial import Trial
from aebnas_bo.storage.regular_files import check_regular
from aebnas_bo.storage.version import STUDY_FORMAT

BUSY_TIMEOUT_S = 30
WAY_OUT = "restore it from a copy, or start another run folder"
# Exceptions that a damaged file causes in SQLite, SQLAlchemy and Python.
UNREADABLE = (SQLAlchemyError, ValueError, TypeError, OverflowError, AttributeError, RecursionError)
OTHER_OBJECTS = "SELECT name FROM sqlite_master WHERE type NOT IN ('table', 'index') LIMIT 3"


class TrialStore:
    """Store of one study's trials; construct it with `create` or `open`."""

    def __init__(self, engine: Engine, study: StudyRecord, origin: str) -> None:
        self._engine = engine
        self.origin = origin
        self.study = study

    @classmethod
    def create(cls, place: Path | str, study: StudyRecord) -> Self:
        """Create a study.

        Args:
            place: SQLite file or SQLAlchemy URL.
            study: Record of the study.

        Raises:
            CorruptStateError: If `place` already holds a study.
            StorageError: If it cannot be written.
        """
        engine = _engine(place)
        try:
            Base.metadata.create_all(engine)
            with Session(engine) as session, session.begin():
                session.add(StudyRow(**study_columns(study)))
            _empty_log(engine, place)
        except StorageError:
            engine.dispose()
            raise
        except IntegrityError as error:
            raise CorruptStateError(f"{place} already holds a study; open it, or use another file or URL") from error
        return cls(engine, study, str(place))

    @classmethod
    def open(cls, place: Path | str) -> Self:
        """Open a study for writing.

        Raises:
            CorruptStateError: If there is none, or it is damaged or of another version.
        """
        return cls._load(place, _engine(place))

    @classmethod
    def open_read_only(cls, place: Path) -> Self:
        """Open a study for reading, without creating or changing a file; another process may write at the same time.

        Args:
            place: SQLite file.

        Raises:
            CorruptStateError: If there is none, or it is damaged or of another version.
        """
        return cls._load(place, _read_only_engine(place))

    @classmethod
    def _load(cls, place: Path | str, engine: Engine) -> Self:
        try:
            if isinstance(place, Path):
                check_regular(place)
        except FileNotFoundError as error:
            raise CorruptStateError(f"{place} does not exist; give the folder of a run") from error
        except OSError as error:
            raise CorruptStateError(f"{place} cannot be read ({error.strerror}); {WAY_OUT}") from error
        try:
            study = _read_study(place, engine)
        except DamagedRowError as error:
            raise CorruptStateError(f"{place} is damaged: the study {error}; {WAY_OUT}") from error
        except UNREADABLE as error:
            raise CorruptStateError(f"{place} cannot be read ({_reason(error)}); {WAY_OUT}") from error
        return cls(engine, study, str(place))

    def trials(self) -> list[Trial]:
        """Return all trials in order of their numbers, each checked against its hash and the bounds of its metrics.

        Raises:
            CorruptStateError: If they cannot be read, or one was changed.
        """
        trials: list[Trial] = []
        try:
            with Session(self._engine) as session:
                rows = session.scalars(select(TrialRow).order_by(TrialRow.number).execution_options(yield_per=100))
                for number, row in enumerate(rows):
                    if row.number != number:
                        raise DamagedRowError("is missing")
                    trials.append(trial_of(row, self.study))
        except DamagedRowError as error:
            raise CorruptStateError(
                f"{self.origin} is damaged: trial {len(trials)} {error}; {self._way_out(len(trials))}"
            ) from error
        except UNREADABLE as error:
            raise CorruptStateError(f"{self.origin} cannot be read ({_reason(error)}); {WAY_OUT}") from error
        return trials

    def _way_out(self, number: int) -> str:
        """Return how to repair the study: delete the damaged trial and, as they depend on it, all later trials."""
        statement = f"DELETE FROM trials WHERE number NOT BETWEEN 0 AND {number - 1}"
        if self._engine.dialect.name == "sqlite":
            code = f"import sqlite3; c = sqlite3.connect({self.origin!r}); c.execute({statement!r}); c.commit()"
            statement = f"python -c {shlex.quote(code)}"
        return (
            "restore a copy, or delete this trial and all later ones, which --resume repeats without evaluating known "
            f"networks again: {statement}"
        )

    def set_config(self, config: str) -> None:
        """Replace the configuration by one that leads to equal trials.

        Args:
            config: The whole configuration as YAML.
        """
        if config != self.study.config:
            with Session(self._engine) as session, session.begin():
                session.execute(update(StudyRow).values(**study_columns(replace(self.study, config=config))))
            self.study = replace(self.study, config=config)

    def add_running(self, trial: Trial) -> None:
        """Store a trial before its evaluation.

        Raises:
            ValueError: If a trial with this number exists, or the trial is not RUNNING.
        """
        if trial.status != "RUNNING":
            raise ValueError(f"trial {trial.number} must be RUNNING to be added, got {trial.status}")
        try:
            with Session(self._engine) as session, session.begin():
                session.add(TrialRow(**trial_columns(trial, self.study)))
        except IntegrityError as error:
            raise ValueError(f"trial {trial.number} is stored already") from error

    def finish(self, trial: Trial) -> None:
        """Store the outcome of a running trial.

        Raises:
            ValueError: If the trial is not stored as RUNNING, is itself RUNNING, or holds a non-finite number.
        """
        if trial.status == "RUNNING":
            raise ValueError(f"trial {trial.number} is still RUNNING")
        statement = update(TrialRow).where(TrialRow.number == trial.number, TrialRow.status == "RUNNING")
        with Session(self._engine) as session, session.begin():
            result = session.execute(statement.values(**trial_columns(trial, self.study)))
            if result.rowcount != 1:  # type: ignore[attr-defined]
                raise ValueError(f"trial {trial.number} is not running and cannot be finished")

    def close(self) -> None:
        """Close all connections."""
        self._engine.dispose()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()


def _engine(place: Path | str) -> Engine:
    # Build the URL from its parts: in a URL string, a question mark in the path would start the query.
    url = URL.create("sqlite", database=str(place.resolve())) if isinstance(place, Path) else place
    engine = create_engine(url)
    tell_storage_failures(engine, place)
    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", _configure_sqlite)
    return engine


def _empty_log(engine: Engine, place: Path | str) -> None:
    """Move what SQLite wrote to its log into the file itself; closing tries this too, but hides a full disk."""
    if engine.dialect.name == "sqlite":
        with engine.connect() as connection:
            if connection.execute(text("PRAGMA wal_checkpoint(TRUNCATE)")).scalar():
                raise StorageError(f"{place}: is in use by another process; use another folder")


def _read_only_engine(place: Path) -> Engine:
    """Return an engine that does not change the folder.

    A database in WAL mode that is not open has no log file; reading it would create one unless the file is opened as
    immutable. If a log exists, it must be read too, without repairing the index of a killed process.
    """
    has_log = place.with_name(f"{place.name}-wal").exists()
    query = {"uri": "true", "mode": "ro", **({"readonly_shm": "1"} if has_log else {"immutable": "1"})}
    engine = create_engine(URL.create("sqlite", database=f"file:{quote(str(place.resolve()))}", query=query))
    event.listen(engine, "connect", _wait_for_others)
    tell_storage_failures(engine, place)
    return engine


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


def _read_study(place: Path | str, engine: Engine) -> StudyRecord:
    if not inspect(engine).has_table("study"):
        raise CorruptStateError(f"{place} holds no study of this program; {WAY_OUT}")
    with Session(engine) as session:
        if engine.dialect.name == "sqlite":
            others = session.execute(text(OTHER_OBJECTS)).scalars().all()
            if others:  # their code would run with every statement, and might never end
                raise DamagedRowError(f"comes with a view or trigger ({one_line(', '.join(map(str, others)))})")
            found = session.execute(text("PRAGMA quick_check(1)")).scalar()
            if found != "ok":
                raise DamagedRowError(f"is in a file that SQLite finds damaged ({one_line(str(found))})")
        _check_format(place, session.scalar(select(StudyRow.format_version)))
        row = session.get(StudyRow, 1)
        if row is None:
            raise DamagedRowError("is missing")
        return study_of(row)


def _check_format(place: Path | str, found: object) -> None:
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


def _reason(error: Exception) -> str:
    return one_line((str(error).strip() or type(error).__name__).splitlines()[0])
