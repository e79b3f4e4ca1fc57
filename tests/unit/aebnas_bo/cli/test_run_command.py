import json
import shlex
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from aebnas_bo.cli.run_command import run
from aebnas_bo.errors import StopRequested
from aebnas_bo.estimation.supernet_estimator import SupernetEstimator

pytestmark = pytest.mark.slow

SMALL = ["--set=supernet.epochs=1", "--set=data.max_train_images=300", "--set=search.design_trials=4"]


@pytest.fixture
def invoke(tmp_path: Path, monkeypatch):
    monkeypatch.setenv("AEBNAS_BO_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("aebnas_bo.cli.reporting.StopSignals.install", lambda self: None)
    app = typer.Typer()
    app.command()(run)
    return lambda *arguments: CliRunner().invoke(app, [*SMALL, "--out", str(tmp_path / "a"), *arguments])


def test_too_many_failures_are_exit_6_and_leave_their_reasons(invoke, tmp_path: Path, monkeypatch) -> None:
    def fail(self, point):
        raise ArithmeticError("made to fail")

    monkeypatch.setattr(SupernetEstimator, "estimate", fail)
    result = invoke("--budget", "9", "--set=search.max_failed_trials=2")
    assert result.exit_code == 6
    assert "3 of 3 trials failed" in result.output
    rows = (tmp_path / "a/trials.csv").read_text().splitlines()[1:]
    assert len(rows) == 3
    assert all("FAILED" in row and "made to fail" in row for row in rows)


def test_single_failures_are_counted_and_the_run_goes_on(invoke, tmp_path: Path, monkeypatch) -> None:
    estimate, calls = SupernetEstimator.estimate, []

    def sometimes(self, point):
        calls.append(point)
        if len(calls) == 2:
            raise ArithmeticError("made to fail")
        return estimate(self, point)

    monkeypatch.setattr(SupernetEstimator, "estimate", sometimes)
    assert invoke("--budget", "4").exit_code == 0
    summary = json.loads((tmp_path / "a/summary.json").read_text())
    assert summary["trials"] == {"COMPLETED": 3, "FAILED": 1, "RUNNING": 0}
    assert summary["is_finished"]


def test_a_run_removes_its_own_leftovers_and_nothing_of_the_user(invoke, tmp_path: Path) -> None:
    users, own = ("notes.tmp.txt", "x.tmp"), ("study.db.999999999.tmp-wal", "config.yaml.999999999.tmp")
    (tmp_path / "a" / "a.tmp").mkdir(parents=True)
    (tmp_path / "a" / "study.db.999999998.tmp").mkdir()
    for name in (*users, *own):
        (tmp_path / "a" / name).write_text("something")
    assert invoke("--budget", "2").exit_code == 0
    found = {path.name: path.is_file() for path in (tmp_path / "a").iterdir()}
    assert set(users) < found.keys()
    assert found.pop("a.tmp") is False
    assert found.pop("study.db.999999998.tmp") is False
    assert {name for name in found if ".tmp" in name} == set(users)


def test_json_is_one_document(invoke) -> None:
    result = invoke("--budget", "2", "--json", "--quiet")
    document = json.loads(result.stdout)
    assert document["trials"]["COMPLETED"] == 2
    assert set(document["reference_point"]) == {"accuracy", "average_macs"}


def test_a_slip_in_a_name_begins_no_search(invoke, tmp_path: Path) -> None:
    slip = invoke("--budget", "2", "--resume")
    assert slip.exit_code == 2
    assert "nothing to resume" in slip.output
    assert not (tmp_path / "a").exists()
    # the two ways out that it names
    assert invoke("--budget", "2", "--resume-or-start").exit_code == 0
    assert invoke("--budget", "3", "--resume").exit_code == 0
    assert len((tmp_path / "a/trials.csv").read_text().splitlines()) == 4


def test_a_stopped_run_says_how_far_it_was_and_how_to_go_on(invoke, tmp_path: Path, monkeypatch) -> None:
    def stop(self) -> None:
        raise StopRequested(2)

    with monkeypatch.context() as stopping:
        stopping.setattr("aebnas_bo.cli.reporting.StopSignals.check", stop)
        stopped = invoke("--budget", "2", "--set=supernet.epochs=2")
    assert stopped.exit_code == 130
    text = " ".join(stopped.output.split())
    assert "stopped by signal 2 with 0 of 2 supernet epochs done. Resume with `aebnas-bo run --out" in text
    assert "stored" not in text
    # the command that it names, run as it stands
    command = shlex.split(text.split("`")[1])
    app = typer.Typer()
    app.command()(run)
    assert CliRunner().invoke(app, command[2:]).exit_code == 0
    assert len((tmp_path / "a/trials.csv").read_text().splitlines()) == 3


def test_a_run_that_is_stopped_before_its_study_begins_has_nothing_to_resume(invoke, monkeypatch) -> None:
    def stop(*_) -> None:
        raise StopRequested(15)

    monkeypatch.setattr("aebnas_bo.preparation.problem.Problem.load", stop)
    stopped = invoke("--budget", "2")
    assert stopped.exit_code == 143
    text = " ".join(stopped.output.split())
    assert "stopped by signal 15. Nothing is stored yet. The same command starts over." in text
