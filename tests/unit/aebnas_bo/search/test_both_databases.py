"""Contract of the trial store, on SQLite and on PostgreSQL."""

import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from aebnas_bo.errors import CorruptStateError, LostTrialError, StorageError
from aebnas_bo.estimation.estimate import OperatingPoint
from aebnas_bo.search.study_record import StudyRecord
from aebnas_bo.search.trial import Trial
from aebnas_bo.search.trial_store import TrialStore

RUNNING = Trial(0, "", "RUNNING", {"width": 8, "kind": "dense", "threshold": 0.1 + 0.2}, generation_s=0.1 + 0.2)
POINT = OperatingPoint({"accuracy": 100 / 3, "average_macs": 0.1 + 0.2}, {"accuracy": 1e-17, "average_macs": 0.0})
DONE = replace(RUNNING, key="abc", status="COMPLETED", points=(POINT,))
FAILED = replace(RUNNING, status="FAILED", reason="ValueError: no 漢字 here \N{GREEK SMALL LETTER ALPHA}")

MakeStore = Callable[[], TrialStore]


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.slow)])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Path | str:
    """Where to create studies."""
    return tmp_path / "s.db" if request.param == "sqlite" else request.getfixturevalue("postgresql").new_database()


@pytest.fixture
def record(objectives) -> StudyRecord:
    return StudyRecord("toy", 2**32, "finger", "a: 1\n", objectives)


@pytest.fixture
def store(place: Path | str, record: StudyRecord):
    with TrialStore.create(place, record) as made:
        yield made


def test_everything_comes_back_exactly(store: TrialStore, record: StudyRecord) -> None:
    proposed = [replace(RUNNING, number=0), replace(RUNNING, number=1, pending=(0,)), replace(RUNNING, number=2)]
    for trial in proposed:
        store.add_running(trial)
    store.finish(DONE)
    store.finish(replace(FAILED, number=1, pending=(0,)))
    expected = [DONE, replace(FAILED, number=1, pending=(0,)), proposed[2]]
    assert store.trials() == expected
    for open_store in (TrialStore.open, TrialStore.open_read_only):
        with open_store(store.place) as opened:
            assert opened.study == record
            assert opened.trials() == expected
            assert opened.running() == expected[2:]


def test_a_number_is_given_once_and_finished_once(store: TrialStore) -> None:
    with pytest.raises(LostTrialError, match="not running and cannot be finished: it is not stored"):
        store.finish(DONE)
    store.add_running(RUNNING)
    with pytest.raises(ValueError, match="stored already"):
        store.add_running(RUNNING)
    with pytest.raises(ValueError, match="still RUNNING"):
        store.finish(RUNNING)
    store.finish(DONE)
    with pytest.raises(LostTrialError, match="it is COMPLETED already"):
        store.finish(FAILED)
    assert store.trials() == [DONE]


def test_the_configuration_can_be_replaced(store: TrialStore, record: StudyRecord) -> None:
    store.set_config("seed: 2\n")
    with TrialStore.open(store.place) as opened:
        assert opened.study == store.study == replace(record, config="seed: 2\n")


def test_reading_changes_nothing(store: TrialStore) -> None:
    store.add_running(RUNNING)
    with TrialStore.open_read_only(store.place) as reader:
        with pytest.raises(StorageError, match=r"read-?only"):
            reader.add_running(replace(RUNNING, number=1))
        with pytest.raises(StorageError, match=r"read-?only"):
            reader.finish(DONE)
    assert store.trials() == [RUNNING]


def test_a_claim_is_of_the_first_trial_without_a_lease(store: TrialStore) -> None:
    assert store.claim("a", 60.0) is None
    for number in range(3):
        store.add_running(replace(RUNNING, number=number, pending=tuple(range(number))))
    first = store.claim("a", 60.0)
    assert first == replace(RUNNING, worker="a", attempt=1)
    third = store.claim("b", 60.0, number=2)
    assert third == replace(RUNNING, number=2, pending=(0, 1), worker="b", attempt=1)
    assert store.claim("c", 60.0, number=2) is None
    second = store.claim("c", 60.0)
    assert second is not None
    assert second.number == 1
    assert store.claim("d", 60.0) is None
    assert store.expired() == []
    assert store.running() == [first, second, third]
    store.finish(replace(DONE, worker="a", attempt=1))
    assert store.trials()[0] == replace(DONE, worker="a", attempt=1)
    assert store.claim("d", 60.0) is None


def test_a_lost_trial_is_claimed_again_and_its_late_answer_is_refused(store: TrialStore) -> None:
    store.add_running(RUNNING)
    lost = store.claim("slow", 0.2)
    assert lost is not None
    assert store.claim("quick", 60.0) is None
    time.sleep(0.3)
    assert store.expired() == [lost]
    again = store.claim("quick", 60.0)
    assert again == replace(RUNNING, worker="quick", attempt=2)
    with pytest.raises(LostTrialError, match="running as attempt 2 by quick; the result of attempt 1, whose"):
        store.finish(replace(DONE, worker="slow", attempt=1))
    with pytest.raises(LostTrialError, match="attempt 2 by quick"):
        store.renew(0, 1, 60.0)
    with pytest.raises(LostTrialError, match="attempt 2 by quick"):
        store.finish(DONE)  # of a process that never claimed it
    done = replace(DONE, worker="quick", attempt=2)
    store.finish(done)
    with pytest.raises(LostTrialError, match="it is COMPLETED already"):
        store.renew(0, 2, 60.0)
    assert store.trials() == [done]


def test_a_renewed_lease_holds_and_needs_no_other_hash(store: TrialStore) -> None:
    store.add_running(RUNNING)
    claimed = store.claim("a", 0.3)
    assert claimed is not None
    store.renew(0, claimed.attempt, 60.0)
    time.sleep(0.4)
    assert store.claim("b", 60.0) is None
    assert store.trials() == [claimed]
    store.renew(0, claimed.attempt, 0.0)
    assert store.expired() == [claimed]  # a worker that gives its trial back


def test_no_trial_is_claimed_twice(store: TrialStore) -> None:
    count, threads = (200 if isinstance(store.place, Path) else 1000), 6
    for number in range(count):
        store.add_running(replace(RUNNING, number=number))

    def work(name: str) -> list[int]:
        numbers = []
        while (trial := store.claim(name, 600.0)) is not None:
            numbers.append(trial.number)
        return numbers

    with ThreadPoolExecutor(threads) as pool:
        claimed = Counter(number for numbers in pool.map(work, "abcdef") for number in numbers)
    assert claimed == Counter(range(count))
    assert all(trial.attempt == 1 for trial in store.trials())


def test_the_time_of_the_last_change_is_known(store: TrialStore) -> None:
    assert 0.0 <= store.seconds_since_change() < 60.0
    time.sleep(0.3)
    before = store.seconds_since_change()
    assert before >= 0.3
    store.add_running(RUNNING)
    assert store.seconds_since_change() < before


def test_a_missing_study_is_named(place: Path | str) -> None:
    from aebnas_bo.storage.shared_study import SharedStudy

    missing = place if isinstance(place, Path) else SharedStudy(place, 3)
    with pytest.raises(CorruptStateError, match=r"does not exist|holds no study of this program"):
        TrialStore.open_read_only(missing)
