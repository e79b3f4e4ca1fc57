"""Studies of a shared database: a list with key figures, and the study that a number or a name refers to."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection, Float, case, cast, func, select, text
from sqlalchemy.exc import SQLAlchemyError

from aebnas_bo.errors import CorruptStateError, UsageError
from aebnas_bo.search.database_clock import DatabaseClock
from aebnas_bo.search.database_engines import postgresql_engine
from aebnas_bo.search.proposer_lock import holders
from aebnas_bo.search.study_rows import STUDIES, TRIALS
from aebnas_bo.search.study_tables import check_tables, reason_of_failure
from aebnas_bo.storage.shared_study import SharedStudy

ACCURACY = '"accuracy": ([0-9]+(?:[.][0-9]+)?(?:e[+-]?[0-9]+)?)'  # of the first operating point, the proposed one
MOST_NAMED = 10  # studies named in a message


@dataclass(frozen=True)
class StudyLine:
    """Key figures of a study.

    Args:
        study_id: Number of the study in its database.
        name: Name of the study.
        seed: Random seed of the study.
        completed: Number of completed trials.
        running: Number of running trials, including interrupted ones.
        failed: Number of failed trials.
        best_accuracy: Highest accuracy of a trial at its proposed operating point, in percent; `None` without one.
        created_s: Seconds since the study was created.
        changed_s: Seconds since its last change.
        process: Description of the process that proposes its trials; `None` if there is none.
    """

    study_id: int
    name: str
    seed: int
    completed: int
    running: int
    failed: int
    best_accuracy: float | None
    created_s: float
    changed_s: float
    process: str | None


def list_studies(url: str) -> list[StudyLine]:
    """Return the studies of a shared database in order of their numbers; rows are not checked against their hashes.

    Args:
        url: URL of the database, without a password.

    Raises:
        UsageError: If the URL is invalid, or psycopg is not installed.
        CorruptStateError: If the database holds no studies, or studies of another version.
        StorageError: If it cannot be reached.
    """
    engine = postgresql_engine(url, is_read_only=True)
    try:
        with engine.connect() as connection:
            check_tables(connection, url)
            return _lines(connection)
    except SQLAlchemyError as error:
        raise CorruptStateError(f"{url} cannot be read ({reason_of_failure(error)}); restore it from a copy") from error
    finally:
        engine.dispose()


def _lines(connection: Connection) -> list[StudyLine]:
    now, own = DatabaseClock(), TRIALS.c
    accuracy = cast(func.substring(own.points, text(":pattern").bindparams(pattern=ACCURACY)), Float)
    counts = [func.count(case((own.status == status, 1))) for status in ("COMPLETED", "RUNNING", "FAILED")]
    found = connection.execute(
        select(
            STUDIES.c.id,
            STUDIES.c.name,
            STUDIES.c.seed,
            *counts,
            func.max(case((own.status == "COMPLETED", accuracy))),
            now - STUDIES.c.created,
            now - func.greatest(func.max(own.changed), STUDIES.c.created),
        )
        .select_from(STUDIES.outerjoin(TRIALS, own.study_id == STUDIES.c.id))
        .group_by(STUDIES.c.id)
        .order_by(STUDIES.c.id)
    )
    processes = holders(connection)
    lines = []
    for study_id, name, seed, completed, running, failed, best, created_s, changed_s in found:
        process = processes.get(study_id)
        lines.append(StudyLine(study_id, name, seed, completed, running, failed, best, created_s, changed_s, process))
    return lines


def find_study(url: str, wanted: str | None) -> SharedStudy:
    """Return the place of a study.

    Args:
        url: URL of the database, without a password.
        wanted: Number or name of the study; `None` for the only one.

    Raises:
        UsageError: If there is no such study, or more than one.
    """
    studies = list_studies(url)
    number = int(wanted) if wanted is not None and wanted.isdecimal() and len(wanted) < 10 else None
    fitting = [one for one in studies if wanted is None or one.study_id == number]
    fitting = fitting or [one for one in studies if one.name == wanted]
    if len(fitting) == 1:
        return SharedStudy(url, fitting[0].study_id)
    among = fitting or studies
    names = ", ".join(f"{one.study_id} ({one.name}, seed {one.seed})" for one in among[:MOST_NAMED])
    more = f" and {len(among) - MOST_NAMED} more" if len(among) > MOST_NAMED else ""
    problem = "holds several such studies" if fitting else f"holds no study {wanted}" if wanted else "holds no study"
    raise UsageError(f"{url}: {problem}; choose one with --study NUMBER: {names or 'there are none'}{more}")
