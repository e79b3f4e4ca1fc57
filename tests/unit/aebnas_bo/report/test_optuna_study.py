"""A study of Optuna with the trials of a run."""

import json
from pathlib import Path

import pytest

from aebnas_bo.errors import UsageError
from aebnas_bo.report.optuna_study import write_optuna_study
from aebnas_bo.report.stored_run import StoredRun, read_run
from aebnas_bo.search.trial import Trial
from aebnas_bo.storage.run_folder import RunFolder

optuna = pytest.importorskip("optuna")
pytestmark = pytest.mark.slow  # writes a database


@pytest.fixture
def run(tiny_run) -> StoredRun:
    return read_run(tiny_run("search.max_average_macs=0.1", "search.min_accuracy=11"))


def _read(path: Path) -> "optuna.Study":
    [name] = optuna.get_all_study_names(f"sqlite:///{path}")
    return optuna.load_study(study_name=name, storage=f"sqlite:///{path}")


def test_trials_keep_numbers_states_parameters_and_values(run: StoredRun, tmp_path: Path) -> None:
    path = tmp_path / "optuna.db"
    assert write_optuna_study(run, path) == len(run.trials)
    study = _read(path)
    assert study.study_name == run.study.name
    assert [direction.name for direction in study.directions] == ["MAXIMIZE", "MINIMIZE"]
    assert study.metric_names == ["accuracy (%)", "average_macs (M)"]
    for mine, theirs in zip(run.trials, study.trials, strict=True):
        assert theirs.number == mine.number
        assert theirs.state.name == {"COMPLETED": "COMPLETE", "FAILED": "FAIL"}[mine.status]
        assert theirs.params.items() <= dict(mine.parameters).items()
        if mine.status == "FAILED":
            assert theirs.user_attrs["reason"] == mine.reason
            continue
        assert theirs.values == list(mine.metrics.values())[:2]
        assert theirs.user_attrs["key"] == mine.key
        assert len(json.loads(theirs.user_attrs["operating_points"])) == len(mine.points)
        assert theirs.duration is not None
        assert theirs.duration.total_seconds() == pytest.approx(mine.evaluation_s, abs=1e-5)
    starts = [trial.datetime_start for trial in study.trials]
    assert starts == sorted(starts)
    assert len({*starts}) == len(starts)


def test_parameters_of_absent_exits_are_left_out(run: StoredRun, tmp_path: Path) -> None:
    write_optuna_study(run, tmp_path / "optuna.db")
    seen = set()
    for mine, theirs in zip(run.trials, _read(tmp_path / "optuna.db").trials, strict=True):
        has_exit = mine.parameters["exit1_depth"] != 0
        assert ("exit1_threshold" in theirs.params) == has_exit
        seen.add(has_exit)
        thresholds = [one for name, one in theirs.distributions.items() if name.endswith("_threshold")]
        assert all(isinstance(one, optuna.distributions.FloatDistribution) for one in thresholds)
    assert seen == {True, False}


def test_limits_are_constraints_positive_if_violated(run: StoredRun, tmp_path: Path) -> None:
    write_optuna_study(run, tmp_path / "optuna.db")
    completed = [trial for trial in _read(tmp_path / "optuna.db").trials if trial.values]
    for trial in completed:
        accuracy, macs = trial.values
        assert trial.system_attrs["constraints"] == pytest.approx([11.0 - accuracy, macs - 0.1])
    assert len({trial.system_attrs["constraints"][1] > 0.0 for trial in completed}) == 2


def test_files_are_not_overwritten(run: StoredRun, tmp_path: Path) -> None:
    path = tmp_path / "optuna.db"
    path.write_text("mine")
    with pytest.raises(UsageError, match="is not overwritten"):
        write_optuna_study(run, path)
    assert path.read_text() == "mine"


def test_a_running_trial_is_running(run: StoredRun, tmp_path: Path) -> None:
    running = Trial(len(run.trials), "", "RUNNING", run.trials[0].parameters)
    more = StoredRun(run.folder, run.config, run.study, (*run.trials, running), run.process, run.has_supernet)
    write_optuna_study(more, tmp_path / "optuna.db")
    assert _read(tmp_path / "optuna.db").trials[-1].state.name == "RUNNING"


def test_the_command_writes_and_names_the_file(tiny_run, tmp_path: Path) -> None:
    from typer.testing import CliRunner

    from aebnas_bo.cli.app import app

    folder: RunFolder = tiny_run()
    arguments = ["export-study", str(folder.path), "--out", str(tmp_path / "study.db"), "--json"]
    done = CliRunner().invoke(app, arguments, catch_exceptions=False)
    assert done.exit_code == 0
    assert json.loads(done.stdout) == {
        "folder": str(folder.path), "format": "optuna", "out": str(tmp_path / "study.db"), "trials": 14
    }  # fmt: skip
    assert CliRunner().invoke(app, arguments).exit_code == 2
