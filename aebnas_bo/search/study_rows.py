"""Rows of a study's database: columns, conversion and a hash per row.

Mappings and lists are stored as JSON text. The hash covers texts and numbers as stored, so a changed digit is detected
before the row is parsed. The hash of a trial includes the study's fingerprint, so rows of other studies are rejected.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, cast, get_args

from sqlalchemy import BigInteger, Float, Integer, String, Text
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from aebnas_bo.early_exit.calibrated_output import Calibration
from aebnas_bo.estimation.estimate import OperatingPoint
from aebnas_bo.search.objectives import Objective
from aebnas_bo.search.study_record import StudyRecord
from aebnas_bo.search.trial import Trial, TrialStatus
from aebnas_bo.search.trial_check import point_problems, trial_problems
from aebnas_bo.storage.version import STUDY_FORMAT


class Base(DeclarativeBase):
    """Base class of the tables in a study's database."""


class StudyRow(Base):
    """Row of the study; a database holds exactly one."""

    __tablename__ = "study"
    id: Mapped[int] = mapped_column(Integer, primary_key=True)
    format_version: Mapped[int] = mapped_column(Integer)
    name: Mapped[str] = mapped_column(String(80))
    seed: Mapped[int] = mapped_column(BigInteger)
    fingerprint: Mapped[str] = mapped_column(String(64))
    config: Mapped[str] = mapped_column(Text)
    objectives: Mapped[str] = mapped_column(Text)
    latencies: Mapped[str] = mapped_column(String(64))
    hash: Mapped[str] = mapped_column(String(64))


class TrialRow(Base):
    """A trial."""

    __tablename__ = "trials"
    number: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    key: Mapped[str] = mapped_column(String(64))
    status: Mapped[str] = mapped_column(String(16))
    reason: Mapped[str] = mapped_column(Text)
    parameters: Mapped[str] = mapped_column(Text)
    points: Mapped[str] = mapped_column(Text)
    generation_s: Mapped[float] = mapped_column(Float)
    evaluation_s: Mapped[float] = mapped_column(Float)
    hash: Mapped[str] = mapped_column(String(64))


class DamagedRowError(ValueError):
    """Raised if a row differs from what the program wrote."""


def study_columns(study: StudyRecord) -> dict[str, object]:
    """Return the columns of a study's row.

    Args:
        study: The study.
    """
    columns: dict[str, object] = {
        "id": 1,
        "format_version": STUDY_FORMAT,
        "name": study.name,
        "seed": study.seed,
        "fingerprint": study.fingerprint,
        "config": study.config,
        "objectives": _json([asdict(objective) for objective in study.objectives]),
        "latencies": study.latencies,
    }
    return {**columns, "hash": _hash(columns)}


def study_of(row: StudyRow) -> StudyRecord:
    """Convert a row to a study record.

    Args:
        row: The row.

    Raises:
        DamagedRowError: If the row does not match its hash.
    """
    _check_hash(row, {})
    objectives = tuple(Objective(**one) for one in json.loads(row.objectives))
    return StudyRecord(row.name, row.seed, row.fingerprint, row.config, objectives, row.latencies)


def trial_columns(trial: Trial, study: StudyRecord) -> dict[str, object]:
    """Return the columns of a trial's row.

    Args:
        trial: The trial.
        study: The study of the trial.

    Raises:
        ValueError: If a number is not finite, missing or out of bounds.
    """
    problems = point_problems(trial.points, study.objectives)
    if problems:
        raise ValueError(f"trial {trial.number}: {'; '.join(problems)}; such numbers are not stored")
    columns: dict[str, object] = {
        **{name: getattr(trial, name) for name in ("number", "key", "status", "reason")},
        **{name: float(getattr(trial, name)) for name in ("generation_s", "evaluation_s")},
        "parameters": _json(trial.parameters),
        "points": _json([asdict(point) for point in trial.points]),
    }
    return {**columns, "hash": _hash({**columns, "study": study.fingerprint})}


def trial_of(row: TrialRow, study: StudyRecord) -> Trial:
    """Convert a row to a trial and check it.

    Args:
        row: The row.
        study: The study of the trial.

    Raises:
        DamagedRowError: If the row does not match its hash, or holds impossible values.
    """
    _check_hash(row, {"study": study.fingerprint})
    if row.status not in get_args(TrialStatus):
        raise DamagedRowError(f"has the status {row.status!r}")
    try:
        points = tuple(map(_point, json.loads(row.points)))
        parameters = json.loads(row.parameters)
    except (ValueError, TypeError, AttributeError, LookupError, RecursionError) as error:
        raise DamagedRowError(f"cannot be read ({error})") from error
    trial = Trial(
        number=row.number,
        key=row.key,
        status=cast(TrialStatus, row.status),
        parameters=parameters,
        reason=row.reason,
        points=points,
        generation_s=row.generation_s,
        evaluation_s=row.evaluation_s,
    )
    problems = trial_problems(trial, study.objectives)
    if problems:
        raise DamagedRowError(f"has impossible values: {'; '.join(problems)}")
    return trial


def _point(document: Mapping[str, Mapping[str, Any]]) -> OperatingPoint:
    figures = dict(document)
    calibrations = {output: Calibration(**one) for output, one in figures.pop("calibrations").items()}
    return OperatingPoint(**figures, calibrations=calibrations)


def _check_hash(row: StudyRow | TrialRow, further: Mapping[str, object]) -> None:
    columns = {column.key: getattr(row, column.key) for column in row.__table__.columns}
    stored = columns.pop("hash")
    try:
        is_sound = _hash({**columns, **further}) == stored
    except (TypeError, ValueError):  # the program writes neither bytes nor infinite numbers
        is_sound = False
    if not is_sound:
        raise DamagedRowError("was changed: it does not match its own hash")


def _hash(columns: Mapping[str, object]) -> str:
    return hashlib.sha256(json.dumps(columns, sort_keys=True, allow_nan=False).encode()).hexdigest()


def _json(value: object) -> str:
    return json.dumps(value, allow_nan=False)
