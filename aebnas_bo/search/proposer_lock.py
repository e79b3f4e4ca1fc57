"""Lock of a study in a shared database, so that only one process proposes its trials."""

from __future__ import annotations

import logging
from contextlib import suppress
from datetime import datetime
from typing import Self

from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import SQLAlchemyError

from aebnas_bo.errors import RunFolderInUseError, StorageError
from aebnas_bo.storage.shared_study import SharedStudy

SPACE = 0x4145424E  # first key of all advisory locks of this package; the second is the number of the study
SCHEMA = 0  # in place of a study's number: the lock of the tables
HOLDERS = """SELECT CAST(lock.objid AS bigint), activity.application_name, activity.backend_start
FROM pg_locks AS lock LEFT JOIN pg_stat_activity AS activity ON activity.pid = lock.pid
WHERE lock.locktype = 'advisory' AND lock.granted AND lock.classid = :space
AND lock.database = (SELECT oid FROM pg_database WHERE datname = current_database())"""

logger = logging.getLogger(__name__)


class ProposerLock:
    """Advisory lock of PostgreSQL on a study, which the server releases when its connection ends.

    Args:
        engine: Engine of the database.
        place: Place of the study.
    """

    def __init__(self, engine: Engine, place: SharedStudy) -> None:
        self._engine = engine
        self._place = place
        self._connection: Connection | None = None

    def __enter__(self) -> Self:
        """Acquire the lock.

        Raises:
            RunFolderInUseError: If another process holds it; the message names that process.
            StorageError: If the database cannot be reached.
        """
        connection = self._engine.connect().execution_options(isolation_level="AUTOCOMMIT")  # no open transaction
        try:
            keys = {"space": SPACE, "study": self._place.study_id}
            if not connection.execute(text("SELECT pg_try_advisory_lock(:space, :study)"), keys).scalar():
                raise RunFolderInUseError(
                    f"{self._place} is in use by {holders(connection).get(self._place.study_id, 'another process')}; "
                    "wait for it to end, or start another study"
                )
        except BaseException:
            connection.close()
            raise
        self._connection = connection
        return self

    def check(self) -> None:
        """Check that the lock is still held; after a restart of the server, acquire it again.

        Raises:
            RunFolderInUseError: If another process holds it now.
            StorageError: If the database cannot be reached.
        """
        if self._connection is None:
            raise RuntimeError("the lock was not acquired; use it in a with statement")
        try:
            self._connection.execute(text("SELECT 1"))
        except (StorageError, SQLAlchemyError):
            logger.info("%s: the connection was lost; connecting again", self._place)
            self._release()
            self.__enter__()

    def __exit__(self, *exception: object) -> None:
        self._release()

    def _release(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(StorageError, SQLAlchemyError):  # the server may have ended
                connection.invalidate()  # end the connection, and its lock, instead of returning it to the pool
                connection.close()


def holders(connection: Connection) -> dict[int, str]:
    """Return descriptions of the processes that propose trials, by the number of their study.

    Args:
        connection: Connection to the database.
    """
    return {
        study: _described(name, started) for study, name, started in connection.execute(text(HOLDERS), {"space": SPACE})
    }


def _described(name: str | None, started: datetime | None) -> str:
    # PostgreSQL shows names and times of other users' connections only to privileged users.
    process = (name or "another process").removeprefix("aebnas_bo ")
    return process if started is None else f"{process}, connected {started.isoformat(timespec='seconds')}"
