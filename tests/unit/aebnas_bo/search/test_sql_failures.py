import sqlite3
from pathlib import Path

import pytest
from sqlalchemy import create_engine, event, text
from sqlalchemy.exc import SQLAlchemyError

from aebnas_bo.errors import StorageError
from aebnas_bo.search import database_engines
from aebnas_bo.search.sql_failures import tell_storage_failures
from aebnas_bo.search.study_record import StudyRecord
from aebnas_bo.search.trial import Trial
from aebnas_bo.search.trial_store import TrialStore


def test_a_full_database_is_a_failure_of_storage(tmp_path: Path) -> None:
    place = tmp_path / "a.db"
    engine = create_engine(f"sqlite:///{place}")
    tell_storage_failures(engine, place)
    event.listen(engine, "connect", lambda connection, _: connection.execute("PRAGMA max_page_count=2"))
    with engine.connect() as connection:
        connection.execute(text("CREATE TABLE t (x)"))
        with pytest.raises(StorageError, match=rf"{place}: database or disk is full; free some space"):
            connection.execute(text("INSERT INTO t VALUES (zeroblob(20000))"))
    engine.dispose()


def test_a_wrong_statement_is_none(tmp_path: Path) -> None:
    engine = create_engine("sqlite://")
    tell_storage_failures(engine, "memory")
    with engine.connect() as connection, pytest.raises(SQLAlchemyError, match="no such table"):
        connection.execute(text("SELECT x FROM t"))
    engine.dispose()


def test_a_study_locked_by_another_program_is_neither_damaged_nor_changed(
    tmp_path: Path, objectives, monkeypatch
) -> None:
    monkeypatch.setattr(database_engines, "BUSY_TIMEOUT_S", 0)
    place = tmp_path / "study.db"
    trial = Trial(0, "", "RUNNING", {})
    with TrialStore.create(place, StudyRecord("toy", 0, "f", "", objectives)) as store:
        other = sqlite3.connect(place)
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StorageError, match=r"database is locked; wait for the other program"):
            store.add_running(trial)
        other.rollback()
        other.close()
        assert store.trials() == []
        store.add_running(trial)


def test_a_place_that_is_a_folder_is_a_failure_of_storage(tmp_path: Path, objectives) -> None:
    with pytest.raises(StorageError, match=r"unable to open database file; free some space there, or allow"):
        TrialStore.create(tmp_path, StudyRecord("toy", 0, "f", "", objectives))
