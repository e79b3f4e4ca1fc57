"""Rows of a study's database: columns, conversion and a hash per row.

Mappings and lists are stored as JSON text. The hash covers texts and numbers as stored, so a changed digit is detected
before the row is parsed. The hash of a trial includes the study's fingerprint, so rows of other studies are rejected.
Times by the database's clock (`NOT_HASHED`) are left out: renewing a lease writes one number.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, cast, get_args

from sqlalchemy import BigInteger, Float, ForeignKey, Integer, String, Text
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from aebnas_bo.early_exit.calibrated_output import Calibration
from aebnas_bo.estimation.estimate import OperatingPoint
from aebnas_bo.search.objectives import Objective
from aebnas_bo.search.study_record import StudyRecord
from aebnas_bo.search.trial import Trial, TrialStatus
from aebnas_bo.search.trial_check import point_problems, trial_problems
from aebnas_bo.storage.version import STUDY_FORMAT

OWN_STUDY = 1  # number of the study in the database of a run folder
NOT_HASHED = frozenset({"hash", "created", "lease_until", "changed"})


class Base(DeclarativeBase):
    """Base class of the tables in a study's database."""


class StudyRow(Base):
    """Row of a study; the database in a run folder holds exactly one, with the number `OWN_STUDY`."""

    __tablename__ = "study"
    id: Mapped[int] = mapped_column(Integer, primary_key=True)
    format_version: Mapped[int] = mapped_column(Integer)
    name: Mapped[str] = mapped_column(String(80))
    seed: Mapped[int] = mapped_column(BigInteger)
    fingerprint: Mapped[str] = mapped_column(String(64))
    config: Mapped[str] = mapped_column(Text)
    objectives: Mapped[str] = mapped_column(Text)
    latencies: Mapped[str] = mapped_column(String(64))
    created: Mapped[float] = mapped_column(Float)
    hash: Mapped[str] = mapped_column(String(64))


class TrialRow(Base):
    """A trial."""

    __tablename__ = "trials"
    study_id: Mapped[int] = mapped_column(ForeignKey("study.id", ondelete="CASCADE"), primary_key=True)
    number: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    key: Mapped[str] = mapped_column(String(64))
    status: Mapped[str] = mapped_column(String(16))
    reason: Mapped[str] = mapped_column(Text)
    parameters: Mapped[str] = mapped_column(Text)
    points: Mapped[str] = mapped_column(Text)
    generation_s: Mapped[float] = mapped_column(Float)
    evaluation_s: Mapped[float] = mapped_column(Float)
    worker: Mapped[str] = mapped_column(Text)
    attempt: Mapped[int] = mapped_column(Integer)
    pending: Mapped[str] = mapped_column(Text)
    lease_until: Mapped[float | None] = mapped_column(Float)
    changed: Mapped[float] = mapped_column(Float)
    hash: Mapped[str] = mapped_column(String(64))


class DamagedRowError(ValueError):
    """Raised if a row differs from what the program wrote."""


def study_columns(study: StudyRecord, study_id: int) -> dict[str, object]:
    """Return the hashed columns of a study's row and their hash.

    Args:
        study: The study.
        study_id: Number of the study in its database.
    """
    columns: dict[str, object] = {
        "id": study_id,
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


def trial_columns(trial: Trial, study: StudyRecord, study_id: int) -> dict[str, object]:
    """Return the hashed columns of a trial's row and their hash.

    Args:
        trial: The trial.
        study: The study of the trial.
        study_id: Number of the study in its database.

    Raises:
        ValueError: If a number is not finite, missing or out of bounds.
    """
    problems = point_problems(trial.points, study.objectives)
    if problems:
        raise ValueError(f"trial {trial.number}: {'; '.join(problems)}; such numbers are not stored")
    columns: dict[str, object] = {
        "study_id": study_id,
        **{name: getattr(trial, name) for name in ("number", "key", "status", "reason", "worker", "attempt")},
        **{name: float(getattr(trial, name)) for name in ("generation_s", "evaluation_s")},
        "parameters": _json(trial.parameters),
        "points": _json([asdict(point) for point in trial.points]),
        "pending": _json(list(trial.pending)),
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
        parameters, pending = json.loads(row.parameters), tuple(json.loads(row.pending))
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
        worker=row.worker,
        attempt=row.attempt,
        pending=pending,
    )
    problems = trial_problems(trial, study.objectives)
    if row.lease_until is not None and not (isinstance(row.lease_until, float) and math.isfinite(row.lease_until)):
        problems.append(f"its lease ends at {row.lease_until!r}")
    if problems:
        raise DamagedRowError(f"has impossible values: {'; '.join(problems)}")
    return trial


def _point(document: Mapping[str, Mapping[str, Any]]) -> OperatingPoint:
    figures = dict(document)
    calibrations = {output: Calibration(**one) for output, one in figures.pop("calibrations").items()}
    return OperatingPoint(**figures, calibrations=calibrations)


def _check_hash(row: StudyRow | TrialRow, further: Mapping[str, object]) -> None:
    names = [column.key for column in row.__table__.columns if column.key not in NOT_HASHED]
    columns = {name: getattr(row, name) for name in names}
    try:
        is_sound = _hash({**columns, **further}) == row.hash
    except (TypeError, ValueError):  # the program writes neither bytes nor infinite numbers
        is_sound = False
    if not is_sound:
        raise DamagedRowError("was changed: it does not match its own hash")


def _hash(columns: Mapping[str, object]) -> str:
    return hashlib.sha256(json.dumps(columns, sort_keys=True, allow_nan=False).encode()).hexdigest()


def _json(value: object) -> str:
    return json.dumps(value, allow_nan=False)
