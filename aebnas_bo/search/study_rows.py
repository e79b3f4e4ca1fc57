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

from sqlalchemy import BigInteger, Column, Float, ForeignKey, Integer, MetaData, RowMapping, String, Table, Text

from aebnas_bo.early_exit.calibrated_output import Calibration
from aebnas_bo.estimation.estimate import OperatingPoint
from aebnas_bo.search.objectives import Objective
from aebnas_bo.search.study_record import StudyRecord
from aebnas_bo.search.trial import Trial, TrialStatus
from aebnas_bo.search.trial_check import point_problems, trial_problems
from aebnas_bo.storage.version import STUDY_FORMAT

OWN_STUDY = 1  # number of the study in the database of a run folder
NOT_HASHED = frozenset({"hash", "created", "lease_until", "changed"})


METADATA = MetaData()
STUDIES = Table(  # the database in a run folder holds one study, with the number OWN_STUDY
    "study",
    METADATA,
    Column("id", Integer, primary_key=True),
    Column("format_version", Integer, nullable=False),
    Column("name", String(80), nullable=False),
    Column("seed", BigInteger, nullable=False),
    Column("fingerprint", String(64), nullable=False),
    Column("config", Text, nullable=False),
    Column("objectives", Text, nullable=False),
    Column("latencies", String(64), nullable=False),
    Column("created", Float, nullable=False),
    Column("hash", String(64), nullable=False),
)
TRIALS = Table(
    "trials",
    METADATA,
    Column("study_id", ForeignKey("study.id", ondelete="CASCADE"), primary_key=True),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("key", String(64), nullable=False),
    Column("status", String(16), nullable=False),
    Column("reason", Text, nullable=False),
    Column("parameters", Text, nullable=False),
    Column("points", Text, nullable=False),
    Column("generation_s", Float, nullable=False),
    Column("evaluation_s", Float, nullable=False),
    Column("worker", Text, nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("pending", Text, nullable=False),
    Column("lease_until", Float),
    Column("changed", Float, nullable=False),
    Column("hash", String(64), nullable=False),
)
Cells = RowMapping
"""Cells of a row by column."""


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


def study_of(row: Cells) -> StudyRecord:
    """Convert a row to a study record.

    Args:
        row: The row.

    Raises:
        DamagedRowError: If the row does not match its hash.
    """
    _check_hash(row, {})
    objectives = tuple(Objective(**one) for one in json.loads(row["objectives"]))
    return StudyRecord(row["name"], row["seed"], row["fingerprint"], row["config"], objectives, row["latencies"])


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


def trial_of(row: Cells, study: StudyRecord) -> Trial:
    """Convert a row to a trial and check it.

    Args:
        row: The row.
        study: The study of the trial.

    Raises:
        DamagedRowError: If the row does not match its hash, or holds impossible values.
    """
    _check_hash(row, {"study": study.fingerprint})
    if row["status"] not in get_args(TrialStatus):
        raise DamagedRowError(f"has the status {row['status']!r}")
    try:
        points = tuple(map(_point, json.loads(row["points"])))
        parameters, pending = json.loads(row["parameters"]), tuple(json.loads(row["pending"]))
    except (ValueError, TypeError, AttributeError, LookupError, RecursionError) as error:
        raise DamagedRowError(f"cannot be read ({error})") from error
    trial = Trial(
        number=row["number"],
        key=row["key"],
        status=cast(TrialStatus, row["status"]),
        parameters=parameters,
        reason=row["reason"],
        points=points,
        generation_s=row["generation_s"],
        evaluation_s=row["evaluation_s"],
        worker=row["worker"],
        attempt=row["attempt"],
        pending=pending,
    )
    problems, lease_until = trial_problems(trial, study.objectives), row["lease_until"]
    if lease_until is not None and not (isinstance(lease_until, float) and math.isfinite(lease_until)):
        problems.append(f"its lease ends at {lease_until!r}")
    if problems:
        raise DamagedRowError(f"has impossible values: {'; '.join(problems)}")
    return trial


def _point(document: Mapping[str, Mapping[str, Any]]) -> OperatingPoint:
    figures = dict(document)
    calibrations = {output: Calibration(**one) for output, one in figures.pop("calibrations").items()}
    return OperatingPoint(**figures, calibrations=calibrations)


def _check_hash(row: Cells, further: Mapping[str, object]) -> None:
    columns = {name: cell for name, cell in row.items() if name not in NOT_HASHED}
    try:
        is_sound = _hash({**columns, **further}) == row["hash"]
    except (TypeError, ValueError):  # the program writes neither bytes nor infinite numbers
        is_sound = False
    if not is_sound:
        raise DamagedRowError("was changed: it does not match its own hash")


def _hash(columns: Mapping[str, object]) -> str:
    return hashlib.sha256(json.dumps(columns, sort_keys=True, allow_nan=False).encode()).hexdigest()


def _json(value: object) -> str:
    return json.dumps(value, allow_nan=False)
