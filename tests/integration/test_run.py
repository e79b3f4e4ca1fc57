"""The main job as a user runs it; what its process does or suffers, in a process of its own."""

import json
import math
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from aebnas_bo.search.trial_store import TrialStore

from .conftest import SMALL, read_csv, read_json, without_times

FILES = {
    "config.yaml", "study.db", "supernet.safetensors", "summary.json", "trials.csv", "pareto_front.csv",
    "hypervolume.csv", "hypervolume.png", "pareto_front.png",
}  # fmt: skip


def area(points: list[tuple[float, float]], accuracy: float, macs: float) -> float:
    """The dominated area, counted strip by strip, independently of the package."""
    total, best = 0.0, accuracy
    for cost, value in sorted(points, key=lambda p: (p[0], -p[1])):
        if cost < macs and value > best:
            total += (value - best) * (macs - cost)
            best = value
    return total


def test_a_brief_search_shows_no_estimates(run) -> None:
    done = run("--time-budget", "5s", "--out", "a")
    assert done.returncode == 0, done.stderr
    assert "Trained networks" in done.stdout
    assert "Pareto front" not in done.stdout
    assert "hypervolume" not in done.stdout


def test_a_run_leaves_what_is_promised_and_repeats_itself(run, run_process, tmp_path: Path) -> None:
    first = run("--budget", "8", "--out", "a")
    again = run_process("--budget", "8", "--out", "b", "--json", "--quiet")
    assert first.returncode == 0, first.stderr
    assert "Pareto front" in first.stdout
    assert "trials 8/8" in first.stderr
    assert {path.name for path in (tmp_path / "a").iterdir()} >= FILES

    # one seed, one result, also in another process; the second run took the supernet from the cache
    document = json.loads(again.stdout)
    assert (document["supernet"], again.stderr) == ("cache", "")
    assert without_times(tmp_path / "a/trials.csv") == without_times(tmp_path / "b/trials.csv")

    summary, trials = read_json(tmp_path / "a/summary.json"), read_csv(tmp_path / "a/trials.csv")
    reference = summary["reference_point"]
    curve = [float(row["hypervolume"]) for row in read_csv(tmp_path / "a/hypervolume.csv")]
    points = [(float(t["average_macs"]), float(t["accuracy"])) for t in trials]
    expected = [area(points[: n + 1], reference["accuracy"], reference["average_macs"]) for n in range(8)]
    assert curve == pytest.approx(expected, rel=1e-12)
    assert curve == sorted(curve)
    assert summary["hypervolume"] == curve[-1]
    assert {t["status"] for t in trials} == {"COMPLETED"}
    for trial in trials:
        rates = [float(trial[name]) for name in ("exit1_rate", "exit2_rate", "final_rate")]
        assert math.isclose(sum(rates), 1.0)
    assert yaml.safe_load((tmp_path / "a/config.yaml").read_text())["search"]["mc_samples"] == 16
    front = read_csv(tmp_path / "a/pareto_front.csv")
    assert [f["key"] for f in front] == [f["key"] for f in summary["front"]]


def test_a_study_is_never_overwritten_and_can_be_extended(run, tmp_path: Path) -> None:
    assert run("--budget", "6", "--out", "a").returncode == 0
    before = (tmp_path / "a/trials.csv").read_bytes()
    refused = run("--budget", "6", "--out", "a")
    assert refused.returncode == 2
    assert "--resume" in refused.stderr
    assert (tmp_path / "a/trials.csv").read_bytes() == before
    edited = (tmp_path / "a/config.yaml").read_text().replace("budget: 6", "budget: 7")
    (tmp_path / "a/config.yaml").write_text(edited)
    moved = ("--set", "data.root=elsewhere")
    extended = run("--budget", "8", "--out", "a", "--resume", *moved, small=False)
    assert extended.returncode == 0, extended.stderr
    assert (tmp_path / "a/config.edited.yaml").read_text() == edited
    with TrialStore.open_read_only(tmp_path / "a/study.db") as store:
        assert store.study.config == (tmp_path / "a/config.yaml").read_text()
        assert yaml.safe_load(store.study.config)["data"]["root"] == str(tmp_path / "elsewhere")
    assert run("--budget", "8", "--out", "whole").returncode == 0
    assert without_times(tmp_path / "a/trials.csv") == without_times(tmp_path / "whole/trials.csv")
    other = run("--out", "a", "--resume", "--seed", "5", small=False)
    assert other.returncode == 3
    assert "seed: the study has 0" in other.stderr


def test_default_folders_are_numbered(run, tmp_path: Path) -> None:
    for _ in range(2):
        assert run("--budget", "2", "--set", "search.design_trials=2").returncode == 0
    assert {p.name for p in (tmp_path / "runs").iterdir()} == {"digits-seed0", "digits-seed0-2"}


MISTAKES = [
    (["--budget", "0"], 2, "--budget"),
    (["--budget", "many"], 2, "--budget"),
    (["--colour", "red"], 2, "No such option"),
    (["--device", "tpu"], 2, "--device"),
    (["--config", "nowhere.yaml"], 3, "nowhere.yaml"),
    (["--set", "search.budgt=3"], 3, "did you mean budget"),
    (["--set", "supernet.learning_rate=.nan"], 3, "finite"),
    (["--set", "space.exits.1.layers.0.pools=[true]", "--set", "space.resolutions=[4]"], 3, "pooled"),
    (["--set", "data.dataset=imagefolder", "--set", "data.image_size=8", "--set", "data.root=x"], 4, "data.root"),
    (["--set", "data.dataset=cifar10", "--set", "data.root=x"], 4, "data.download=true"),
]


def test_mistakes_end_with_their_code_and_create_nothing(calls, tmp_path: Path) -> None:
    found = calls([["run", *arguments, "--out", "a"] for arguments, _, _ in MISTAKES])
    for (arguments, code, message), result in zip(MISTAKES, found, strict=True):
        assert (result.returncode, "Traceback" in result.stderr) == (code, False), (arguments, result.stderr)
        assert message in result.stderr, arguments
    assert not (tmp_path / "a").exists()
    assert not (tmp_path / "runs").exists()


def test_errors_are_json_when_json_is_asked_for(calls) -> None:
    [result] = calls([["run", "--json", "--set", "seed=-1", "--set", "search.budget=-1"]])
    document = json.loads(result.stdout)
    assert (result.returncode, document["exit_code"], len(document["problems"])) == (3, 3, 2)


def test_corrupt_state_is_exit_7(run, calls, tmp_path: Path) -> None:
    assert run("--budget", "3", "--out", "whole").returncode == 0
    names = ("study.db", "supernet.safetensors")
    for name in names:
        shutil.copytree(tmp_path / "whole", tmp_path / name)
        path = tmp_path / name / name
        content = bytearray(path.read_bytes())
        content[: len(content) // 2] = b"x" * (len(content) // 2)
        path.write_bytes(bytes(content))
    found = calls([["run", "--budget", "4", "--out", name, "--resume-or-start"] for name in names])
    for name, result in zip(names, found, strict=True):
        assert result.returncode == 7, result.stderr
        assert name in result.stderr
        assert "Traceback" not in result.stderr


def start(command, environment, folder: Path, budget: int, *more: str) -> "subprocess.Popen[str]":
    arguments = [*command, *SMALL, "--budget", str(budget), "--out", "a", *more]
    return subprocess.Popen(
        arguments, cwd=folder, env=environment, text=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )


def wait_for(path: Path, process: "subprocess.Popen[str]") -> None:
    wait_until(path.exists, process)


def wait_until(happened: Callable[[], bool], process: "subprocess.Popen[str]") -> None:
    deadline = time.monotonic() + 600
    while not happened() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.02)
    assert happened(), process.stderr.read() if process.stderr else ""


def test_killed_at_any_moment_and_resumed_equals_never_killed(run, tmp_path: Path, command, environment) -> None:
    slow = ["--set", "supernet.epochs=12", "--set", "supernet.cache=false"]
    assert run("--budget", "9", "--out", "whole", *slow).returncode == 0
    for mark, pause in (("supernet.training.safetensors", 0.3), ("supernet.safetensors", 1.0)):
        process = start(command, environment, tmp_path, 9, "--resume-or-start", *slow)
        wait_for(tmp_path / "a" / mark, process)
        time.sleep(pause)
        process.kill()
        process.wait()
    last = run("--budget", "9", "--out", "a", "--resume", *slow)
    assert last.returncode == 0, last.stderr
    assert without_times(tmp_path / "a/trials.csv") == without_times(tmp_path / "whole/trials.csv")
    assert read_csv(tmp_path / "a/hypervolume.csv") == read_csv(tmp_path / "whole/hypervolume.csv")


def test_signals_stop_with_their_code_and_a_folder_takes_one_process(tmp_path, command, environment, run) -> None:
    lock = tmp_path / "a/run.lock"
    for number, code in ((signal.SIGINT, 130), (signal.SIGTERM, 143)):
        process = start(command, environment, tmp_path, 400, "--resume-or-start")
        wait_for(tmp_path / "a/supernet.safetensors", process)
        wait_until(lambda pid=process.pid: f'"pid": {pid},' in lock.read_text(), process)
        if number == signal.SIGTERM:
            second = run("--budget", "5", "--out", "a", "--resume")
            assert second.returncode == 5, second.stderr
            assert str(process.pid) in second.stderr
        time.sleep(1.0)
        process.send_signal(number)
        _, errors = process.communicate(timeout=60)
        assert process.returncode == code, errors
        assert "--resume" in errors
        stored = len(read_csv(tmp_path / "a/trials.csv"))
    resumed = run("--budget", str(stored + 1), "--out", "a", "--resume", small=False)
    assert resumed.returncode == 0, resumed.stderr
