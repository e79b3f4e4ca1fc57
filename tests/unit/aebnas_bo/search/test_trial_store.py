import os
import re
import shlex
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from dataclasses import replace
from math import inf
from pathlib import Path

import pytest

from aebnas_bo.early_exit.calibrated_output import Calibration
from aebnas_bo.errors import CorruptStateError, StorageError
from aebnas_bo.estimation.estimate import OperatingPoint
from aebnas_bo.search.study_record import StudyRecord
from aebnas_bo.search.trial import Trial
from aebnas_bo.search.trial_store import TrialStore
from aebnas_bo.storage.version import STUDY_FORMAT
from tests.made_trials import with_further, with_metrics

RUNNING = Trial(0, "", "RUNNING", {"width": 8, "kind": "dense", "threshold": 0.1 + 0.2}, generation_s=0.5)
DONE = replace(
    RUNNING, key="abc", status="COMPLETED", points=(
        OperatingPoint({"accuracy": 100 / 3, "average_macs": 0.1 + 0.2}, {"accuracy": 1e-17, "average_macs": 0.0},
                       {"exit1": 0.7, "final": 0.3}, {"threshold": 0.1 + 0.2},
                       {"exit1": Calibration(1.5, 2 / 3, 1e-9)}),
        OperatingPoint({"accuracy": 1 / 3, "average_macs": 0.3}, {"accuracy": 0.1, "average_macs": 0.0},
                       {"exit1": 0.2, "final": 0.8}, {"threshold": 0.7}),
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


def test_a_new_study_is_whole_in_its_file_before_the_file_is_renamed(tmp_path: Path, record: StudyRecord) -> None:
    with TrialStore.create(tmp_path / "study.db.tmp", record):
        shutil.copy(tmp_path / "study.db.tmp", tmp_path / "study.db")  # without the log beside it
    with TrialStore.open_read_only(tmp_path / "study.db") as store:
        assert store.study == record


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
            store.finish(
                with_further(DONE, replace(DONE.points[0], calibrations={"exit1": Calibration(1.0, 1.0, inf)}))
            )
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


NEWER = f"written by a newer version of aebnas_bo (format 99, this one reads up to {STUDY_FORMAT}): update aebnas_bo"
OLDER = f"written by an older version of aebnas_bo (format 4, this one reads {STUDY_FORMAT}): open it with that version"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("UPDATE study SET format_version = 99", NEWER),
        ("ALTER TABLE study RENAME COLUMN hash TO digest; UPDATE study SET format_version = 99", NEWER),
        ("ALTER TABLE study DROP COLUMN hash; UPDATE study SET format_version = 4", OLDER),
        ("UPDATE study SET format_version = 'new'", "is damaged: the study has the format 'new'"),
        ("UPDATE study SET format_version = 1e300", "is damaged: the study has the format 1e+300"),
        ("DELETE FROM study", "is damaged: the study has the format None"),
        ("UPDATE study SET id = 2", "is damaged: the study is missing"),
    ],
)
def test_another_format_is_refused(tmp_path: Path, record: StudyRecord, change: str, message: str) -> None:
    TrialStore.create(tmp_path / "s.db", record).close()
    damage(tmp_path / "s.db", change)
    with pytest.raises(CorruptStateError, match=re.escape(message)):
        TrialStore.open(tmp_path / "s.db")


def damage(path: Path, *statements: str) -> None:
    with closing(sqlite3.connect(path)) as connection:
        for statement in statements:
            connection.executescript(statement)
        connection.commit()


# Columns may be empty then, as in a damaged file.
WITHOUT_NOT_NULL = (
    "PRAGMA writable_schema = 1; UPDATE sqlite_master SET sql = replace(sql, 'NOT NULL', '') WHERE name = 'trials'"
)


@pytest.fixture
def five(tmp_path: Path, record: StudyRecord) -> Path:
    """A study of five trials in a folder whose name has to be quoted."""
    path = tmp_path / 'it\'s a "folder" $1' / "s.db"
    path.parent.mkdir()
    with TrialStore.create(path, record) as store:
        for number in range(5):
            store.add_running(replace(RUNNING, number=number))
            store.finish(replace(DONE, number=number))
    return path


@pytest.mark.parametrize(
    "column",
    [
        "key = 'abd'", "status = 'FAILED'", "reason = 'none'", "parameters = replace(parameters, '8', '9')",
        "points = replace(points, '0.7', '0.8')", "points = '[]'", "generation_s = 0.25", "evaluation_s = 1e999",
        "points = replace(points, '33.3', '93.3')", "points = replace(points, 'accuracy', 'average_macs')",
        "points = NULL", "points = x'ff00'", "points = 7", "key = x'616263'", "parameters = '{}'", "reason = 1",
        "points = replace(points, '0.7', 'NaN')", "points = '[' || points || ']'", "hash = NULL", "hash = ''",
        "points = (SELECT group_concat('[', '') FROM (WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n "
        "WHERE x < 100000) SELECT x FROM n))",
    ],
)  # fmt: skip
def test_whatever_was_changed_in_a_trial_is_found(five: Path, column: str) -> None:
    damage(five, WITHOUT_NOT_NULL)
    damage(five, f"UPDATE trials SET {column} WHERE number = 3")
    with (
        TrialStore.open_read_only(five) as store,
        pytest.raises(CorruptStateError, match="trial 3 was changed"),
    ):
        store.trials()


@pytest.mark.parametrize(
    "column",
    [
        "seed = 1", "name = 'other'", "fingerprint = 'f'", "config = 'a: 2'", "latencies = 'x'",
        "objectives = replace(objectives, 'true', 'false')", "objectives = replace(objectives, '15.0', '99.0')",
        "objectives = replace(replace(objectives, 'accuracy', 'x'), 'average_macs', 'accuracy')", "hash = 'x'",
    ],
)  # fmt: skip
def test_whatever_was_changed_in_a_study_is_found(five: Path, column: str) -> None:
    damage(five, f"UPDATE study SET {column}")
    with pytest.raises(CorruptStateError, match="damaged: the study was changed"):
        TrialStore.open_read_only(five)


def test_trials_cannot_change_places_or_come_from_another_study(
    five: Path, tmp_path: Path, record: StudyRecord
) -> None:
    with TrialStore.create(tmp_path / "other.db", replace(record, fingerprint="other")) as other:
        other.add_running(RUNNING)
        other.finish(DONE)
    damage(
        five,
        f"ATTACH '{tmp_path / 'other.db'}' AS other",
        "DELETE FROM trials WHERE number = 0; INSERT INTO trials SELECT * FROM other.trials",
    )
    with (
        TrialStore.open_read_only(five) as store,
        pytest.raises(CorruptStateError, match="trial 0 was changed"),
    ):
        store.trials()
    damage(five, "UPDATE trials SET number = 9 WHERE number = 1; UPDATE trials SET number = 1 WHERE number = 2")
    damage(five, "DELETE FROM trials WHERE number = 0; UPDATE trials SET number = 0 WHERE number = 1")
    with (
        TrialStore.open_read_only(five) as store,
        pytest.raises(CorruptStateError, match="trial 0 was changed"),
    ):
        store.trials()


@pytest.mark.parametrize(
    ("change", "first"),
    [
        ("UPDATE trials SET key = 'x' WHERE number = 3", 3),
        ("DELETE FROM trials WHERE number = 1", 1),
        ("UPDATE trials SET number = -7 WHERE number = 2", 0),
    ],
)
def test_the_way_out_of_a_damaged_trial_works(five: Path, change: str, first: int) -> None:
    damage(five, change)
    with TrialStore.open_read_only(five) as store, pytest.raises(CorruptStateError, match="python -c") as caught:
        store.trials()
    command = str(caught.value).rpartition("again: ")[2]
    subprocess.run(command.replace("python", shlex.quote(sys.executable), 1), shell=True, check=True)
    with TrialStore.open(five) as store:
        assert [trial.number for trial in store.trials()] == list(range(first))
        store.add_running(replace(RUNNING, number=first))


def test_what_cannot_be_is_found_though_its_hash_is_right(five: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("aebnas_bo.search.study_rows.point_problems", lambda *_: [])
    with TrialStore.open(five) as store:
        store.add_running(replace(RUNNING, number=5))
        store.finish(with_metrics(replace(DONE, number=5), average_macs=-1.0, accuracy=1e6))
        with pytest.raises(
            CorruptStateError, match=r"trial 5 has impossible values: accuracy is 1000000.0.*\[0, 100\]"
        ):
            store.trials()


@pytest.mark.parametrize(
    "statements",
    [
        "ALTER TABLE trials RENAME TO others; CREATE VIEW trials AS "  # which never ends
        "WITH RECURSIVE n(number) AS (SELECT 0 UNION ALL SELECT number + 1 FROM n) SELECT * FROM n",
        "CREATE TRIGGER change AFTER INSERT ON trials BEGIN UPDATE trials SET points = '[]'; END",
    ],
)
def test_a_view_or_a_trigger_is_refused_before_it_runs(five: Path, statements: str) -> None:
    with closing(sqlite3.connect(five)) as connection:
        connection.executescript(statements)
    for open_store in (TrialStore.open, TrialStore.open_read_only):
        with pytest.raises(CorruptStateError, match=r"comes with a view or trigger \((trials|change)\); restore it"):
            open_store(five)


def test_damage_to_the_structure_of_the_file_is_found(five: Path) -> None:
    with closing(sqlite3.connect(five)) as connection:
        connection.execute("PRAGMA journal_mode = DELETE")
        page = connection.execute("SELECT rootpage FROM sqlite_master WHERE name = 'trials'").fetchone()[0]
        size = connection.execute("PRAGMA page_size").fetchone()[0]
    data = bytearray(five.read_bytes())
    cells = (page - 1) * size + 4
    assert data[cells] == 5
    data[cells] = 4  # nobody would miss the last trial
    five.write_bytes(data)
    with pytest.raises(CorruptStateError, match="SQLite finds damaged"):
        TrialStore.open_read_only(five)


def test_a_gap_in_the_numbers_is_corrupt(tmp_path: Path, record: StudyRecord) -> None:
    with TrialStore.create(tmp_path / "s.db", record) as store:
        store.add_running(replace(RUNNING, number=3))
        with pytest.raises(CorruptStateError, match="trial 0 is missing"):
            store.trials()


WRITER = """
import sys
from dataclasses import replace
from math import inf
from pathlib import Path
from aebnas_bo.estimation.estimate import OperatingPoint
from aebnas_bo.search.study_record import StudyRecord
from aebnas_bo.search.trial_store import TrialStore
from aebnas_bo.search.trial import Trial
store = TrialStore.create(Path(sys.argv[1]), StudyRecord("toy", 0, "f", "", ()))
for number in range(100000):
    trial = Trial(number, "", "RUNNING", {"width": number})
    store.add_running(trial)
    point = OperatingPoint({"accuracy": float(number)}, {"accuracy": 0.0})
    store.finish(replace(trial, status="COMPLETED", points=(point,)))
    print(number, flush=True)
"""


@pytest.mark.slow
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
        with pytest.raises(StorageError, match="readonly"):
            reader.add_running(replace(RUNNING, number=1))
    assert entries(folder) == before
    with pytest.raises(CorruptStateError, match="does not exist"):
        TrialStore.open_read_only(folder / "other.db")
