import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from dataclasses import replace
from math import inf
from pathlib import Path

import pytest
from sqlalchemy.exc import OperationalError

from aebnas_bo.early_exit.calibrated_output import Calibration
from aebnas_bo.errors import CorruptStateError
from aebnas_bo.estimation.estimate import OperatingPoint
from aebnas_bo.search.trial import Trial
from aebnas_bo.search.trial_store import StudyRecord, TrialStore
from aebnas_bo.storage.version import STUDY_FORMAT
from tests.made_trials import with_further, with_metrics

RUNNING = Trial(0, "", "RUNNING", {"width": 8, "kind": "dense", "threshold": 0.1 + 0.2}, generation_s=0.5)
DONE = replace(
    RUNNING, key="abc", status="COMPLETED", points=(
        OperatingPoint({"accuracy": 100 / 3}, {"accuracy": 1e-17}, {"exit1": 0.7, "final": 0.3},
                       {"threshold": 0.1 + 0.2}, {"exit1": Calibration(1.5, 2 / 3, 1e-9)}),
        OperatingPoint({"accuracy": 1 / 3}, {"accuracy": 0.1}, {"exit1": 0.2, "final": 0.8}, {"threshold": 0.7}),
    ),
)  # fmt: skip


@pytest.fixture
def record(objectives) -> StudyRecord:
    return StudyRecord("toy", 2**32, "finger", "a: 1\n", objectives)


def test_everything_comes_back_exactly(tmp_path: Path, record: StudyRecord) -> None:
    with TrialStore.create(tmp_path / "s.db", record) as store:
        store.add_running(RUNNING)
        store.finish(DONE)
        store.add_running(replace(RUNNING, number=1))
    with TrialStore.open(tmp_path / "s.db") as store:
        assert store.study == record
        assert store.trials() == [DONE, replace(RUNNING, number=1)]


def test_the_configuration_can_be_replaced(tmp_path: Path, record: StudyRecord) -> None:
    with TrialStore.create(tmp_path / "study.db", record) as store:
        store.set_config("seed: 2\n")
        assert store.study.config == "seed: 2\n"
    with TrialStore.open(tmp_path / "study.db") as store:
        assert store.study == replace(record, config="seed: 2\n")


def test_a_number_is_given_once(tmp_path: Path, record: StudyRecord) -> None:
    with TrialStore.create(tmp_path / "s.db", record) as store:
        store.add_running(RUNNING)
        with pytest.raises(ValueError, match="stored already"):
            store.add_running(RUNNING)


def test_only_running_trials_can_be_finished_and_only_once(tmp_path: Path, record: StudyRecord) -> None:
    with TrialStore.create(tmp_path / "s.db", record) as store:
        with pytest.raises(ValueError, match="not running"):
            store.finish(DONE)
        store.add_running(RUNNING)
        with pytest.raises(ValueError, match="still RUNNING"):
            store.finish(RUNNING)
        store.finish(DONE)
        with pytest.raises(ValueError, match="not running"):
            store.finish(DONE)
        with pytest.raises(ValueError, match="must be RUNNING"):
            store.add_running(replace(DONE, number=1))


def test_non_finite_numbers_are_refused(tmp_path: Path, record: StudyRecord) -> None:
    with TrialStore.create(tmp_path / "s.db", record) as store:
        store.add_running(RUNNING)
        with pytest.raises(ValueError, match="accuracy is nan"):
            store.finish(with_metrics(DONE, accuracy=float("nan")))
        with pytest.raises(ValueError, match="exit1_calibration_error_after is inf"):
            store.finish(with_further(DONE, OperatingPoint({}, {}, calibrations={"exit1": Calibration(1.0, 1.0, inf)})))
        assert store.trials() == [RUNNING]


def test_a_place_holds_one_study(tmp_path: Path, record: StudyRecord) -> None:
    TrialStore.create(tmp_path / "s.db", record).close()
    with pytest.raises(CorruptStateError, match="already holds a study"):
        TrialStore.create(tmp_path / "s.db", record)


def test_missing_foreign_and_damaged_files_are_named(tmp_path: Path) -> None:
    import sqlite3

    with pytest.raises(CorruptStateError, match="does not exist"):
        TrialStore.open(tmp_path / "none.db")
    with sqlite3.connect(tmp_path / "foreign.db") as connection:
        connection.execute("CREATE TABLE birds (name TEXT)")
    with pytest.raises(CorruptStateError, match="no study of this program"):
        TrialStore.open(tmp_path / "foreign.db")
    (tmp_path / "broken.db").write_bytes(b"rubbish" * 1000)
    with pytest.raises(CorruptStateError, match=r"broken\.db cannot be read"):
        TrialStore.open(tmp_path / "broken.db")


def test_another_format_is_refused(tmp_path: Path, record: StudyRecord) -> None:
    import sqlite3

    TrialStore.create(tmp_path / "s.db", record).close()
    with sqlite3.connect(tmp_path / "s.db") as connection:
        connection.execute("UPDATE study SET format_version = 99")
    with pytest.raises(CorruptStateError, match=f"format 99, expected {STUDY_FORMAT}"):
        TrialStore.open(tmp_path / "s.db")


def test_a_gap_in_the_numbers_is_corrupt(tmp_path: Path, record: StudyRecord) -> None:
    with TrialStore.create(tmp_path / "s.db", record) as store:
        store.add_running(replace(RUNNING, number=3))
        with pytest.raises(CorruptStateError, match="lacks trials"):
            store.trials()


WRITER = """
import sys
from dataclasses import replace
from math import inf
from pathlib import Path
from aebnas_bo.estimation.estimate import OperatingPoint
from aebnas_bo.search.trial_store import StudyRecord, TrialStore
from aebnas_bo.search.trial import Trial
store = TrialStore.create(Path(sys.argv[1]), StudyRecord("toy", 0, "f", "", ()))
for number in range(100000):
    trial = Trial(number, "", "RUNNING", {"width": number})
    store.add_running(trial)
    store.finish(replace(trial, status="COMPLETED", points=(OperatingPoint({"accuracy": float(number)}, {}),)))
    print(number, flush=True)
"""


def test_no_finished_trial_is_lost_to_kill(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(tmp_path / "s.db")], stdout=subprocess.PIPE, text=True, env=os.environ
    )
    assert process.stdout is not None
    reported = [int(process.stdout.readline()) for _ in range(20)]
    time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    reported += [int(line) for line in process.stdout.read().split("\n") if line.strip()]
    process.wait()
    with TrialStore.open(tmp_path / "s.db") as store:
        trials = store.trials()
    finished = [trial for trial in trials if trial.status == "COMPLETED"]
    assert len(finished) >= reported[-1] + 1
    assert all(trial.metrics == {"accuracy": float(trial.number)} for trial in finished)
    assert len(trials) - len(finished) <= 1


def entries(folder: Path) -> dict[str, tuple[int, int]]:
    return {path.name: (path.stat().st_mtime_ns, path.stat().st_size) for path in folder.iterdir()}


def test_reading_leaves_the_folder_as_it_is_whoever_else_has_it_open(tmp_path: Path, record: StudyRecord) -> None:
    folder = tmp_path / "a folder? #1%20"
    folder.mkdir()
    with TrialStore.create(folder / "s.db", record) as writer:
        writer.add_running(RUNNING)
        before = entries(folder)
        assert "s.db-wal" in before
        with TrialStore.open_read_only(folder / "s.db") as reader:
            assert reader.trials() == [RUNNING]
        assert entries(folder) == before
        killed = tmp_path / "killed"
        shutil.copytree(folder, killed)
        writer.finish(DONE)
        with TrialStore.open_read_only(folder / "s.db") as reader:
            assert reader.trials() == [DONE]
    before, index = entries(killed), (killed / "s.db-shm").read_bytes()  # what a killed process leaves behind
    with TrialStore.open_read_only(killed / "s.db") as reader:
        assert reader.trials() == [RUNNING]
    assert (entries(killed), (killed / "s.db-shm").read_bytes()) == (before, index)
    before = entries(folder)
    assert set(before) == {"s.db"}
    with TrialStore.open_read_only(folder / "s.db") as reader:
        assert reader.study == record
        assert reader.trials() == [DONE]
        with pytest.raises(OperationalError, match="readonly"):
            reader.add_running(replace(RUNNING, number=1))
    assert entries(folder) == before
    with pytest.raises(CorruptStateError, match="does not exist"):
        TrialStore.open_read_only(folder / "other.db")


@pytest.mark.parametrize(
    ("statement", "message"),
    [
        ("UPDATE trials SET status = 'COMPLETEE'", "has the status 'COMPLETEE'"),
        ("UPDATE trials SET points = replace(points, 'thresholds', 'thresholdr')", "cannot be read"),
        ("UPDATE study SET objectives = replace(objectives, 'maximize', 'maximizf')", "no sound objectives"),
    ],
)
def test_damage_that_is_still_text_is_found(tmp_path: Path, record: StudyRecord, statement: str, message: str) -> None:
    with TrialStore.create(tmp_path / "s.db", record) as store:
        store.add_running(RUNNING)
        store.finish(DONE)
    with sqlite3.connect(tmp_path / "s.db") as connection:
        connection.execute(statement)
    connection.close()
    with pytest.raises(CorruptStateError, match=message), TrialStore.open(tmp_path / "s.db") as store:
        store.trials()
