"""Where trials live: one study per database, every change one transaction.

SQLite in the run folder by default, any database SQLAlchemy knows by URL. A killed process loses no finished trial.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Self, cast, get_args
from urllib.parse import quote

from sqlalchemy import (
    JSON,
    URL,
    BigInteger,
    Engine,
    Float,
    Integer,
    String,
    Text,
    create_engine,
    event,
    inspect,
    select,
    update,
)
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import IntegrityError, SQLAlchemyError
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column
from sqlalchemy.pool import ConnectionPoolEntry

from aebnas_bo.early_exit.calibrated_output import Calibration
from aebnas_bo.errors import CorruptStateError
from aebnas_bo.estimation.estimate import OperatingPoint
from aebnas_bo.search.objectives import Objective
from aebnas_bo.search.trial import Trial, TrialStatus
from aebnas_bo.storage.version import STUDY_FORMAT

BUSY_TIMEOUT_S = 30


class _Base(DeclarativeBase):
    pass


class _StudyRow(_Base):
    __tablename__ = "study"
    id: Mapped[int] = mapped_column(Integer, primary_key=True)
    format_version: Mapped[int] = mapped_column(Integer)
    name: Mapped[str] = mapped_column(String(80))
    seed: Mapped[int] = mapped_column(BigInteger)
    fingerprint: Mapped[str] = mapped_column(String(64))
    config: Mapped[str] = mapped_column(Text)
    objectives: Mapped[list[dict[str, object]]] = mapped_column(JSON)


class _TrialRow(_Base):
    __tablename__ = "trials"
    number: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    key: Mapped[str] = mapped_column(String(64))
    status: Mapped[str] = mapped_column(String(16))
    reason: Mapped[str] = mapped_column(Text)
    parameters: Mapped[dict[str, object]] = mapped_column(JSON)
    points: Mapped[list[dict[str, dict[str, Any]]]] = mapped_column(JSON)
    generation_s: Mapped[float] = mapped_column(Float)
    evaluation_s: Mapped[float] = mapped_column(Float)


@dataclass(frozen=True)
class StudyRecord:
    """What a study is, fixed when it is created but for settings without effect on its trials.

    Args:
        name: Its name.
        seed: Its seed.
        fingerprint: Identifies space, images, seed and training of the supernet.
        config: The whole configuration as YAML.
        objectives: Metrics, directions and reference point.
    """

    name: str
    seed: int
    fingerprint: str
    config: str
    objectives: tuple[Objective, ...]


class TrialStore:
    """The trials of one study; make one with `create` or `open`."""

    def __init__(self, engine: Engine, study: StudyRecord, origin: str) -> None:
        self._engine = engine
        self._origin = origin
        self.study = study

    @classmethod
    def create(cls, place: Path | str, study: StudyRecord) -> Self:
        """Create a study.

        Args:
            place: SQLite file, or a SQLAlchemy URL.
            study: What it is.

        Raises:
            CorruptStateError: If the place already holds a study.
        """
        engine = _engine(place)
        _Base.metadata.create_all(engine)
        row = _StudyRow(
            id=1,
            format_version=STUDY_FORMAT,
            name=study.name,
            seed=study.seed,
            fingerprint=study.fingerprint,
            config=study.config,
            objectives=[asdict(objective) for objective in study.objectives],
        )
        try:
            with Session(engine) as session, session.begin():
                session.add(row)
        except IntegrityError as error:
            raise CorruptStateError(f"{place} already holds a study; open it or give another place") from error
        return cls(engine, study, str(place))

    @classmethod
    def open(cls, place: Path | str) -> Self:
        """Open a study to write it.

        Raises:
            CorruptStateError: If there is none, or it is damaged or of another version.
        """
        return cls._load(place, _engine(place))

    @classmethod
    def open_read_only(cls, place: Path) -> Self:
        """Open a study to read it, also while another process writes it; no file is made or touched.

        Args:
            place: SQLite file.

        Raises:
            CorruptStateError: If there is none, or it is damaged or of another version.
        """
        return cls._load(place, _read_only_engine(place))

    @classmethod
    def _load(cls, place: Path | str, engine: Engine) -> Self:
        if isinstance(place, Path) and not place.is_file():
            raise CorruptStateError(f"{place} does not exist; give the folder of a run")
        way_out = "restore it from a copy, or start another run folder"
        try:
            if not inspect(engine).has_table("study"):
                raise CorruptStateError(f"{place} holds no study of this program; {way_out}")
            with Session(engine) as session:
                row = session.get(_StudyRow, 1)
        except (SQLAlchemyError, ValueError) as error:
            raise CorruptStateError(f"{place} cannot be read ({_first_line(error)}); {way_out}") from error
        if row is None or row.format_version != STUDY_FORMAT:
            found = None if row is None else row.format_version
            raise CorruptStateError(f"{place} has format {found}, expected {STUDY_FORMAT}; {way_out}")
        try:
            objectives = tuple(Objective(**cast("dict[str, str]", o)) for o in row.objectives)  # type: ignore[arg-type]
        except TypeError as error:
            raise CorruptStateError(f"{place} has no sound objectives ({error}); {way_out}") from error
        return cls(engine, StudyRecord(row.name, row.seed, row.fingerprint, row.config, objectives), str(place))

    def trials(self) -> list[Trial]:
        """Return all trials in order of their numbers.

        Raises:
            CorruptStateError: If they cannot be read.
        """
        try:
            with Session(self._engine) as session:
                rows = session.scalars(select(_TrialRow).order_by(_TrialRow.number)).all()
                trials = [_trial(row) for row in rows]
        except (SQLAlchemyError, ValueError, TypeError) as error:
            raise CorruptStateError(f"{self._origin} cannot be read ({_first_line(error)})") from error
        if [trial.number for trial in trials] != list(range(len(trials))):
            raise CorruptStateError(f"{self._origin} lacks trials: numbers are {[t.number for t in trials]}")
        return trials

    def set_config(self, config: str) -> None:
        """Replace the configuration by one under which the trials are the same.

        Args:
            config: The whole configuration as YAML.
        """
        if config != self.study.config:
            with Session(self._engine) as session, session.begin():
                session.execute(update(_StudyRow).values(config=config))
            self.study = replace(self.study, config=config)

    def add_running(self, trial: Trial) -> None:
        """Store a trial before its evaluation.

        Raises:
            ValueError: If its number is taken or it is not RUNNING.
        """
        if trial.status != "RUNNING":
            raise ValueError(f"trial {trial.number} must be RUNNING to be added, got {trial.status}")
        try:
            with Session(self._engine) as session, session.begin():
                session.add(_TrialRow(**_columns(trial)))
        except IntegrityError as error:
            raise ValueError(f"trial {trial.number} is stored already") from error

    def finish(self, trial: Trial) -> None:
        """Store the outcome of a running trial.

        Raises:
            ValueError: If the trial is not stored as RUNNING, is not ended, or holds a non-finite number.
        """
        if trial.status == "RUNNING":
            raise ValueError(f"trial {trial.number} is still RUNNING")
        statement = update(_TrialRow).where(_TrialRow.number == trial.number, _TrialRow.status == "RUNNING")
        with Session(self._engine) as session, session.begin():
            result = session.execute(statement.values(**_columns(trial)))
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
    # From its parts: within the text of a URL a question mark in a path would end it.
    url = URL.create("sqlite", database=str(place.resolve())) if isinstance(place, Path) else place
    engine = create_engine(url, json_serializer=lambda value: json.dumps(value, allow_nan=False))
    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", _configure_sqlite)
    return engine


def _read_only_engine(place: Path) -> Engine:
    """Return an engine that leaves the folder as it is.

    Beside a database in WAL mode that nobody has open lies no log; even reading would make one, unless the file counts
    as immutable. Where there is a log it must be read too, without repairing what a killed process left of its index.
    """
    has_log = place.with_name(f"{place.name}-wal").exists()
    query = {"uri": "true", "mode": "ro", **({"readonly_shm": "1"} if has_log else {"immutable": "1"})}
    engine = create_engine(URL.create("sqlite", database=f"file:{quote(str(place.resolve()))}", query=query))
    event.listen(engine, "connect", _wait_for_others)
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


def _columns(trial: Trial) -> dict[str, object]:
    for point in trial.points:
        for name, value in (*point.metrics.items(), *point.sems.items(), *point.exit_figures.items()):
            if not math.isfinite(value):
                raise ValueError(f"trial {trial.number}: {name} is {value}; only finite numbers are stored")
    return asdict(trial)


def _trial(row: _TrialRow) -> Trial:
    if row.status not in get_args(TrialStatus):
        raise ValueError(f"trial {row.number} has the status {row.status!r}")
    return Trial(
        number=row.number,
        key=row.key,
        status=cast(TrialStatus, row.status),
        parameters=row.parameters,  # type: ignore[arg-type]
        reason=row.reason,
        points=tuple(map(_point, row.points)),
        generation_s=row.generation_s,
        evaluation_s=row.evaluation_s,
    )


def _point(document: Mapping[str, Mapping[str, Any]]) -> OperatingPoint:
    figures = dict(document)
    calibrations = {output: Calibration(**one) for output, one in figures.pop("calibrations", {}).items()}
    return OperatingPoint(**figures, calibrations=calibrations)


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0]
