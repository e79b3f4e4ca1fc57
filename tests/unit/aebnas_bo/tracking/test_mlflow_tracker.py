"""The process that writes to MLflow: what it is sent, and what becomes of a run if it fails."""

import json
import sqlite3
import sys
import time
from pathlib import Path

import pytest

from aebnas_bo.testing.tracker_contract import TrackerContract
from aebnas_bo.tracking import mlflow_tracker
from aebnas_bo.tracking.mlflow_tracker import MlflowTarget, MlflowTracker, MlflowTrackerError
from aebnas_bo.tracking.tracker import Record

FAILS = "import sys; sys.stdin.readline(); print('no such server', end=''); sys.exit(1)"
KEEPS = "import sys; open(sys.argv[1], 'w').write(sys.stdin.read())"
HANGS = "import time; time.sleep(600)"


def _target(folder: Path, uri: str = "") -> MlflowTarget:
    return MlflowTarget(
        uri=uri or f"sqlite:///{folder}/mlflow.db", experiment="digits", run_name="run", runs_file=folder / "runs.json",
        artifacts=folder / "artifacts", parameters={"seed": "0"},
    )  # fmt: skip


def _script(code: str, *arguments: str) -> list[str]:
    return [sys.executable, "-c", code, *arguments]


def test_target_and_records_arrive_as_lines(tmp_path: Path) -> None:
    tracker = MlflowTracker(_target(tmp_path), _script(KEEPS, str(tmp_path / "kept")))
    tracker.write(Record("search", 3, {"a": 1.5}, {"front": b"png"}, time=7.0))
    tracker.close()
    target, record = map(json.loads, (tmp_path / "kept").read_text().splitlines())
    assert target["artifacts"] == str(tmp_path / "artifacts")
    assert record == {"stream": "search", "step": 3, "values": {"a": 1.5}, "pictures": {"front": "cG5n"}, "time": 7.0}


def test_the_error_of_the_process_is_reported(tmp_path: Path) -> None:
    tracker = MlflowTracker(_target(tmp_path), _script(FAILS))
    with pytest.raises(MlflowTrackerError, match=r"^no such server$"):  # noqa: PT012  when it is seen depends on timing
        for step in range(1000):
            tracker.write(Record("search", step, {"a": 1.0}))
            time.sleep(0.01)


def test_an_error_after_the_last_record_is_reported(tmp_path: Path) -> None:
    tracker = MlflowTracker(_target(tmp_path), _script(FAILS))
    with pytest.raises(MlflowTrackerError, match="no such server"):
        tracker.close()


def test_a_process_that_does_not_read_delays_nothing(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(mlflow_tracker, "MOST_WAITING", 1 << 20)
    tracker = MlflowTracker(_target(tmp_path), _script(HANGS))
    with pytest.raises(MlflowTrackerError, match="does not keep up"):  # noqa: PT012
        for step in range(100_000):
            tracker.write(Record("search", step, {"a": 1.0}))
    assert tracker._process.wait(10) != 0


def test_closing_does_not_wait_for_ever(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(mlflow_tracker, "CLOSING_S", 0.2)
    tracker = MlflowTracker(_target(tmp_path), _script(HANGS))
    for step in range(2000):  # more than a pipe holds
        tracker.write(Record("search", step, {"a": 1.0}))
    with pytest.raises(MlflowTrackerError, match="has not read"):
        tracker.close()


@pytest.mark.slow  # importing MLflow and creating its database take many seconds
class TestMlflow(TrackerContract):
    @pytest.fixture(autouse=True)
    def _patient(self, monkeypatch) -> None:
        pytest.importorskip("mlflow")
        monkeypatch.setattr(mlflow_tracker, "CLOSING_S", 500.0)

    def tracker(self, folder: Path) -> MlflowTracker:
        return MlflowTracker(_target(folder))

    def stored(self, folder: Path, stream: str) -> list[tuple[int, dict[str, float]]]:
        prefix = "" if stream == "search" else f"{stream}/"
        found: dict[int, dict[str, float]] = {}
        with sqlite3.connect(folder / "mlflow.db") as database:
            query = "select key, value, step from metrics where key like ? order by step"
            for key, value, step in database.execute(query, (f"{prefix or 'search/'}%",)):
                values = found.setdefault(step, {})
                assert key not in values
                values[key.removeprefix(prefix)] = value
        return list(found.items())

    def test_networks_have_nested_runs_that_continue(self, tmp_path: Path) -> None:
        for step in (1, 2):
            tracker = self.tracker(tmp_path)
            tracker.write(Record("search", 0, {"search/accuracy": 50.0}))
            tracker.write(Record("trained/abc-seed0", step, {"training/loss": 1.0}))
            tracker.close()
        with sqlite3.connect(tmp_path / "mlflow.db") as database:
            runs = dict(database.execute("select name, run_uuid from runs"))
            states = [state for (state,) in database.execute("select status from runs")]
            [(parent,)] = database.execute("select value from tags where key = 'mlflow.parentRunId'")
            [(described,)] = database.execute("select run_uuid from tags where key = 'mlflow.note.content'")
            metrics = database.execute("select run_uuid, key, step from metrics order by step, key").fetchall()
        assert described == parent
        assert runs.keys() == {"run", "abc-seed0"}
        assert states == ["FINISHED", "FINISHED"]
        assert parent == runs["run"]
        assert metrics == [
            (runs["run"], "search/accuracy", 0),
            (runs["abc-seed0"], "training/loss", 1),
            (runs["abc-seed0"], "training/loss", 2),
        ]

    def test_an_unreachable_server_is_an_error(self, tmp_path: Path, monkeypatch) -> None:
        monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
        tracker = MlflowTracker(_target(tmp_path, uri="http://127.0.0.1:9"))
        tracker.write(Record("search", 0, {"search/accuracy": 50.0}))
        with pytest.raises(MlflowTrackerError, match=r"127\.0\.0\.1"):
            tracker.close()
