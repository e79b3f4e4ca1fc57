"""Trial store: the trials of one study, one transaction per change.

By default, a SQLite file in the run folder holds the study. A PostgreSQL database holds many studies, whose trials
several workers may evaluate: a worker claims a trial for a lease, renews the lease, and finishes the trial unless its
lease ended and another attempt began. A killed process loses no finished trial.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any, Self

from sqlalchemy import ColumnElement, Connection, Engine, Select, Update, func, insert, or_, select, update
from sqlalchemy.exc import IntegrityError

from aebnas_bo.errors import CorruptStateError, LostTrialError, StorageError, one_line
from aebnas_bo.search.database_clock import DatabaseClock
from aebnas_bo.search.database_engines import postgresql_engine, read_only_sqlite_engine, sqlite_engine
from aebnas_bo.search.proposer_lock import ProposerLock, holders
from aebnas_bo.search.study_record import StudyRecord
from aebnas_bo.search.study_rows import (
    OWN_STUDY,
    STUDIES,
    TRIALS,
    Cells,
    DamagedRowError,
    study_columns,
    trial_columns,
    trial_of,
)
from aebnas_bo.search.study_tables import UNREADABLE, WAY_OUT, add_study, read_study, reason_of_failure
from aebnas_bo.search.trial import Trial
from aebnas_bo.storage.shared_study import SharedStudy

NOW = DatabaseClock()


class TrialStore:
    """Store of one study's trials; construct it with `create` or `open`.

    Threads may share a store.
    """

    def __init__(self, engine: Engine, study: StudyRecord, place: Path | SharedStudy) -> None:
        self._engine = engine
        self._lock: ProposerLock | None = None
        self.place = place
        self.study = study

    @property
    def origin(self) -> str:
        """Where the study is, for messages."""
        return str(self.place)

    @classmethod
    def create(cls, place: Path | str, study: StudyRecord) -> Self:
        """Create a study.

        Args:
            place: SQLite file, or URL of a PostgreSQL database, which gives the study a number.
            study: Record of the study.

        Raises:
            CorruptStateError: If a file already holds a study, or a database has such tables of another version.
            UsageError: If the URL is invalid, or psycopg is not installed.
            StorageError: If it cannot be written.
        """
        engine = sqlite_engine(place) if isinstance(place, Path) else postgresql_engine(place)
        try:
            number = add_study(engine, study, place)
        except (StorageError, CorruptStateError):
            engine.dispose()
            raise
        except IntegrityError as error:
            engine.dispose()
            raise CorruptStateError(f"{place} already holds a study; open it, or use another file or URL") from error
        return cls(engine, study, place if isinstance(place, Path) else SharedStudy(place, number))

    @classmethod
    def open(cls, place: Path | SharedStudy) -> Self:
        """Open a study for writing.

        Args:
            place: SQLite file, or place in a shared database.

        Raises:
            CorruptStateError: If there is none, or it is damaged or of another version.
            StorageError: If the database cannot be reached.
        """
        engine = sqlite_engine(place) if isinstance(place, Path) else postgresql_engine(place.url)
        return cls._load(place, engine)

    @classmethod
    def open_read_only(cls, place: Path | SharedStudy) -> Self:
        """Open a study for reading, without creating or changing a file; another process may write at the same time.

        Args:
            place: SQLite file, or place in a shared database.

        Raises:
            CorruptStateError: If there is none, or it is damaged or of another version.
            StorageError: If the database cannot be reached.
        """
        if isinstance(place, Path):
            return cls._load(place, read_only_sqlite_engine(place))
        return cls._load(place, postgresql_engine(place.url, is_read_only=True))

    @classmethod
    def _load(cls, place: Path | SharedStudy, engine: Engine) -> Self:
        try:
            return cls(engine, read_study(engine, place), place)
        except BaseException:
            engine.dispose()
            raise

    @property
    def _study_id(self) -> int:
        return self.place.study_id if isinstance(self.place, SharedStudy) else OWN_STUDY

    @property
    def _rows(self) -> Select[Any]:
        """The rows of the study's trials in order; those of a file all belong to it, so a changed number is noticed."""
        rows = select(TRIALS).order_by(TRIALS.c.number)
        return rows.where(TRIALS.c.study_id == self._study_id) if isinstance(self.place, SharedStudy) else rows

    def _update(self, number: int) -> Update:
        return update(TRIALS).where(TRIALS.c.study_id == self._study_id, TRIALS.c.number == number)

    def trials(self) -> list[Trial]:
        """Return all trials in order of their numbers, each checked against its hash and the bounds of its metrics.

        Raises:
            CorruptStateError: If they cannot be read, or one was changed.
        """
        trials: list[Trial] = []
        try:
            with self._engine.connect() as connection:
                rows = connection.execute(self._rows.execution_options(yield_per=100)).mappings()
                for number, row in enumerate(rows):
                    if row["number"] != number:
                        raise DamagedRowError("is missing")
                    trials.append(trial_of(row, self.study))
        except DamagedRowError as error:
            raise self._damaged(len(trials), error) from error
        except UNREADABLE as error:
            raise CorruptStateError(f"{self.origin} cannot be read ({reason_of_failure(error)}); {WAY_OUT}") from error
        return trials

    def running(self) -> list[Trial]:
        """Return the running trials in order.

        Raises:
            CorruptStateError: If they cannot be read, or one was changed.
        """
        return self._some(TRIALS.c.status == "RUNNING")

    def expired(self) -> list[Trial]:
        """Return the running trials that were claimed and whose lease has ended, in order.

        Raises:
            CorruptStateError: If they cannot be read, or one was changed.
        """
        return self._some(TRIALS.c.status == "RUNNING", TRIALS.c.lease_until <= NOW)

    def _some(self, *conditions: ColumnElement[bool]) -> list[Trial]:
        with self._engine.connect() as connection:
            return [self._trial(row) for row in connection.execute(self._rows.where(*conditions)).mappings()]

    def _trial(self, row: Cells) -> Trial:
        try:
            return trial_of(row, self.study)
        except DamagedRowError as error:
            raise self._damaged(row["number"], error) from error

    def _damaged(self, number: int, error: DamagedRowError) -> CorruptStateError:
        return CorruptStateError(f"{self.origin} is damaged: trial {number} {error}; {self._way_out(number)}")

    def _way_out(self, number: int) -> str:
        """Return how to repair the study: delete the damaged trial and, as they depend on it, all later trials."""
        statement = f"DELETE FROM trials WHERE number NOT BETWEEN 0 AND {number - 1}"
        if isinstance(self.place, Path):
            code = f"import sqlite3; c = sqlite3.connect({self.origin!r}); c.execute({statement!r}); c.commit()"
            command = f"python -c {shlex.quote(code)}"
        else:
            url = self.place.url.replace("+psycopg", "", 1)
            command = f"psql {shlex.quote(url)} -c {shlex.quote(f'{statement} AND study_id = {self._study_id}')}"
        return (
            "restore a copy, or delete this trial and all later ones, which --resume repeats without evaluating known "
            f"networks again: {command}"
        )

    def set_config(self, config: str) -> None:
        """Replace the configuration by one that leads to equal trials.

        Args:
            config: The whole configuration as YAML.
        """
        if config != self.study.config:
            changed = replace(self.study, config=config)
            columns = study_columns(changed, self._study_id)
            with self._engine.begin() as connection:
                connection.execute(update(STUDIES).where(STUDIES.c.id == self._study_id).values(**columns))
            self.study = changed

    def add_running(self, trial: Trial) -> None:
        """Store a trial before its evaluation; its lease begins when a worker claims it.

        Raises:
            ValueError: If a trial with this number exists, or the trial is not RUNNING.
            RunFolderInUseError: If another process proposes the trials of the study now.
        """
        if trial.status != "RUNNING":
            raise ValueError(f"trial {trial.number} must be RUNNING to be added, got {trial.status}")
        if self._lock is not None:
            self._lock.check()
        columns = trial_columns(trial, self.study, self._study_id)
        try:
            with self._engine.begin() as connection:
                connection.execute(insert(TRIALS).values(**columns, changed=NOW))
        except IntegrityError as error:
            raise ValueError(f"trial {trial.number} is stored already") from error

    def claim(self, worker: str, lease_s: float, *, number: int | None = None) -> Trial | None:
        """Give a running trial without a lease to a worker: one never claimed, or one whose lease has ended.

        No trial is given to two workers at once, whichever process or thread asks.

        Args:
            worker: Name of the worker.
            lease_s: Seconds until the lease ends, unless it is renewed.
            number: Number of the trial; `None` takes the first one.

        Returns:
            The trial with the worker and the number of this attempt, or `None` if there is none to claim.

        Raises:
            CorruptStateError: If the trial was changed.
        """
        free = self._rows.where(
            TRIALS.c.status == "RUNNING", or_(TRIALS.c.lease_until.is_(None), TRIALS.c.lease_until <= NOW)
        )
        if number is not None:
            free = free.where(TRIALS.c.number == number)
        with self._writing() as connection:
            row = connection.execute(free.limit(1).with_for_update(skip_locked=True)).mappings().first()
            if row is None:
                return None
            trial = self._trial(row)
            claimed = replace(trial, worker=one_line(worker), attempt=trial.attempt + 1)
            columns = trial_columns(claimed, self.study, self._study_id)
            connection.execute(self._update(claimed.number).values(**columns, lease_until=NOW + lease_s, changed=NOW))
        return claimed

    def renew(self, number: int, attempt: int, lease_s: float) -> None:
        """Let the lease of an attempt end later.

        Args:
            number: Number of the trial.
            attempt: Number of the attempt, as claimed.
            lease_s: Seconds from now until the lease ends.

        Raises:
            LostTrialError: If the trial has ended, or another attempt has begun.
        """
        statement = self._update(number).where(TRIALS.c.status == "RUNNING", TRIALS.c.attempt == attempt)
        with self._writing() as connection:
            result = connection.execute(statement.values(lease_until=NOW + lease_s, changed=NOW))
            if result.rowcount != 1:
                raise self._lost(connection, number, attempt)

    def finish(self, trial: Trial) -> None:
        """Store the outcome of a running trial.

        Args:
            trial: The trial as claimed or added, with its outcome.

        Raises:
            LostTrialError: If the trial is not stored as RUNNING, or another attempt has begun.
            ValueError: If it is itself RUNNING, or holds a non-finite number.
        """
        if trial.status == "RUNNING":
            raise ValueError(f"trial {trial.number} is still RUNNING")
        columns = trial_columns(trial, self.study, self._study_id)
        statement = self._update(trial.number).where(TRIALS.c.status == "RUNNING", TRIALS.c.attempt == trial.attempt)
        with self._writing() as connection:
            result = connection.execute(statement.values(**columns, lease_until=None, changed=NOW))
            if result.rowcount != 1:
                raise self._lost(connection, trial.number, trial.attempt)

    def _lost(self, connection: Connection, number: int, attempt: int) -> LostTrialError:
        row = connection.execute(self._rows.where(TRIALS.c.number == number)).mappings().first()
        if row is None or row["status"] != "RUNNING":
            found = "not stored" if row is None else f"{row['status']} already"
            return LostTrialError(f"trial {number} is not running and cannot be finished: it is {found}")
        by = f" by {row['worker']}" if row["worker"] else ""
        return LostTrialError(
            f"trial {number} is running as attempt {row['attempt']}{by}; the result of attempt {attempt}, whose lease "
            "ended, is refused"
        )

    @contextmanager
    def _writing(self) -> Iterator[Connection]:
        """Begin a transaction in which nothing that was read is changed by others."""
        with self._engine.begin() as connection:
            if isinstance(self.place, Path):
                connection.exec_driver_sql("BEGIN IMMEDIATE")  # SQLite has no locks of rows
            yield connection

    def proposer_lock(self) -> AbstractContextManager[object]:
        """Return the lock of the process that proposes the trials, to be used in a `with` statement.

        A study in a shared database has a lock there; one in a run folder is protected by the lock of the folder.

        Raises:
            RunFolderInUseError: On entering, if another process holds it.
        """
        if isinstance(self.place, Path):
            return nullcontext()
        return self._proposing(self.place)

    @contextmanager
    def _proposing(self, place: SharedStudy) -> Iterator[None]:
        with ProposerLock(self._engine, place) as lock:
            self._lock = lock
            try:
                yield
            finally:
                self._lock = None

    def proposer(self) -> str | None:
        """Return a description of the process that proposes the trials of a study in a shared database.

        Returns:
            `None` if there is none, or if the study is in a run folder, whose lock names the process.
        """
        if isinstance(self.place, Path):
            return None
        with self._engine.connect() as connection:
            return holders(connection).get(self.place.study_id)

    def seconds_since_change(self) -> float:
        """Return the seconds since a trial was added, claimed, renewed or finished, or the study was created."""
        own = select(func.max(TRIALS.c.changed)).where(TRIALS.c.study_id == self._study_id).scalar_subquery()
        created = select(STUDIES.c.created).where(STUDIES.c.id == self._study_id).scalar_subquery()
        with self._engine.connect() as connection:
            return max(float(connection.scalar(select(NOW - func.coalesce(own, created))) or 0.0), 0.0)

    def close(self) -> None:
        """Close all connections."""
        self._engine.dispose()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()
