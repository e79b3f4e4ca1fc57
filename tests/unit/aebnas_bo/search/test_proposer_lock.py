import os
import time
from dataclasses import replace
from pathlib import Path

import pytest

from aebnas_bo.errors import RunFolderInUseError, StorageError
from aebnas_bo.search.study_record import StudyRecord
from aebnas_bo.search.trial import Trial
from aebnas_bo.search.trial_store import TrialStore

RUNNING = Trial(0, "", "RUNNING", {})
RECORD = StudyRecord("toy", 0, "f", "", ())


@pytest.fixture
def store(postgresql):
    with TrialStore.create(postgresql.new_database(), RECORD) as made:
        yield made


def end_connections(postgresql, store: TrialStore) -> None:
    postgresql.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() "
        "AND pid <> pg_backend_pid()",
        database=store.place.url.rpartition("/")[2],
    )


def wait_until_free(store: TrialStore) -> None:
    """The server notices the end of a connection a moment later; a lock that is never released fails the test."""
    for _ in range(200):
        if store.proposer() is None:
            return
        time.sleep(0.05)
    pytest.fail(f"{store.proposer()} still has the lock")


def test_one_process_proposes(store: TrialStore) -> None:
    with TrialStore.open(store.place) as other:
        assert other.proposer() is None
        with store.proposer_lock():
            assert f"process {os.getpid()} on " in (other.proposer() or "")
            with pytest.raises(RunFolderInUseError, match=rf"study 1 of .* is in use by process {os.getpid()}"):
                other.proposer_lock().__enter__()
        wait_until_free(other)
        with other.proposer_lock():
            assert store.proposer() is not None


def test_studies_of_one_database_have_locks_of_their_own(store: TrialStore) -> None:
    with TrialStore.create(store.place.url, RECORD) as second, store.proposer_lock(), second.proposer_lock():
        assert second.place == replace(store.place, study_id=2)
        second.add_running(RUNNING)
    assert store.trials() == []


def test_a_lost_connection_is_made_again_with_the_lock(postgresql, store: TrialStore) -> None:
    with store.proposer_lock():
        end_connections(postgresql, store)
        store.add_running(RUNNING)
        assert store.proposer() is not None
    assert store.trials() == [RUNNING]


def test_whoever_lost_the_lock_to_another_process_adds_nothing(postgresql, store: TrialStore) -> None:
    with TrialStore.open(store.place) as other, store.proposer_lock():
        end_connections(postgresql, store)
        with other.proposer_lock():
            with pytest.raises(RunFolderInUseError, match="is in use by"):
                store.add_running(RUNNING)
            other.add_running(RUNNING)


def test_a_killed_and_restarted_server_loses_nothing(postgresql, store: TrialStore) -> None:
    done = replace(RUNNING, status="FAILED", reason="none")
    with store.proposer_lock():
        store.add_running(RUNNING)
        postgresql.stop("immediate")
        try:
            with pytest.raises(StorageError, match="check that the server is running"):
                store.finish(done)
        finally:
            postgresql.start()
        assert store.trials() == [RUNNING]
        store.finish(done)
        store.add_running(replace(RUNNING, number=1))
    assert store.trials() == [done, replace(RUNNING, number=1)]


def test_a_file_is_protected_by_the_lock_of_its_folder(tmp_path: Path) -> None:
    with TrialStore.create(tmp_path / "s.db", RECORD) as store, store.proposer_lock():
        store.add_running(RUNNING)
        assert store.proposer() is None
