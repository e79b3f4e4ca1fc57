"""Runs with trackers: equal trials, streams that continue, a tracker that fails."""

from pathlib import Path

import pytest

from .conftest import without_times

pytest.importorskip("tensorboard")
pytestmark = pytest.mark.slow


def _stream(folder: Path, name: str) -> list[tuple[int, dict[str, float]]]:
    from aebnas_bo.tracking.tensorboard_files import events

    written = [event for event in events(folder / "tensorboard" / name) if event.summary.value]
    return [(event.step, {value.tag: value.simple_value for value in event.summary.value}) for event in written]


def test_a_resumed_run_continues_its_streams_and_trials_stay_the_same(run, call, tmp_path: Path) -> None:
    assert run("--out=plain", "--budget=7").returncode == 0
    assert run("--out=a", "--budget=3", "--track=tensorboard").returncode == 0
    resumed = call("run", "--out=a", "--resume", "--budget=7")
    assert resumed.returncode == 0
    assert without_times(tmp_path / "a" / "trials.csv") == without_times(tmp_path / "plain" / "trials.csv")
    trials = _stream(tmp_path / "a", "search")
    assert [step for step, _ in trials] == list(range(7))
    volumes = [values["search/hypervolume"] for _, values in trials]
    assert volumes == sorted(volumes)
    assert [step for step, _ in _stream(tmp_path / "a", "front")] == [3, 7]
    epochs = _stream(tmp_path / "a", "supernet")
    assert epochs == []  # the supernet came from the cache


def test_epochs_of_supernet_and_network_are_tracked(run, call, tmp_path: Path) -> None:
    assert run("--out=a", "--budget=5", "--set=supernet.cache=false").returncode == 0
    assert not (tmp_path / "a" / "tensorboard").exists()
    assert run("--out=b", "--budget=5", "--set=supernet.cache=false", "--track=tensorboard").returncode == 0
    epochs = _stream(tmp_path / "b", "supernet")
    assert [step for step, _ in epochs] == [1, 2, 3]
    assert epochs[-1][1]["exit1/accuracy"] > 10.0
    assert {"training/loss", "final/loss", "final/accuracy"} <= epochs[-1][1].keys()
    assert call("train", "b", "--epochs=2", "--no-plain", "--track=tensorboard").returncode == 0
    [folder] = (tmp_path / "b" / "trained").glob("*-seed0")
    assert [step for step, _ in _stream(tmp_path / "b", f"trained/{folder.name}")] == [1, 2]
    [(step, figures)] = _stream(tmp_path / "b", f"trained/{folder.name}/figures")
    assert step == 2
    assert 0.0 <= figures["test/accuracy"] <= 100.0


def test_a_tracker_that_cannot_write_does_not_end_the_run(run, tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "tensorboard").write_text("not a folder")
    done = run("--out=a", "--budget=5", "--track=tensorboard")
    assert done.returncode == 0
    assert done.stderr.count("tracker tensorboard failed and is switched off") <= 1
    assert len(without_times(tmp_path / "a" / "trials.csv")) == 5


def test_an_unknown_tracker_and_a_missing_package_are_refused(run, monkeypatch) -> None:
    assert run("--out=a", "--track=wandb").returncode == 3
    monkeypatch.setattr("aebnas_bo.tracking.watching.find_spec", lambda _: None)
    refused = run("--out=a", "--track=tensorboard")
    assert refused.returncode == 2
    assert "pip install 'aebnas_bo[tensorboard]'" in refused.stderr.replace("\n", " ")
