"""A real Ray cluster of three nodes on this machine: workers and nodes are lost in the middle of trials."""

import json
import os
import secrets
import signal
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(find_spec("ray") is None, reason="Ray is not installed: pip install 'aebnas_bo[ray]'"),
]


def environment(folder: Path) -> dict[str, str]:
    """Return an environment in which clusters have a token of their own."""
    token = folder / "token"
    token.write_text(secrets.token_hex(32))
    return {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN_PATH": str(token),
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_raylet_start_wait_time_s": "120",
        "RAY_worker_niceness": "0",
        "OMP_NUM_THREADS": "1",
    }


def run_alone(arguments: list[str], folder: Path) -> str:
    """Run a module in a session of its own, end what it leaves, and return its output."""
    process = subprocess.Popen(
        [sys.executable, "-m", *arguments],
        env=environment(folder), cwd=folder, text=True, start_new_session=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    try:
        output, errors = process.communicate(timeout=600)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
    assert process.returncode == 0, errors
    return output


def test_every_trial_is_completed_once_although_workers_and_nodes_are_lost(tmp_path: Path) -> None:
    found = json.loads(run_alone(["tests.ray_scenario", str(tmp_path)], tmp_path).splitlines()[-1])
    assert [event.split(": ")[1] for event in found["events"]] == ["kill", "remove", "add", "stop"]
    trials = found["trials"]
    assert {status for status, _, _ in trials} == {"COMPLETED"}
    assert found["points"] == len(trials)
    assert sum(attempt - 1 for _, attempt, _ in trials) == 3  # killed, on the removed node, stopped
    # A worker that was lost just after its work gave no answer all the same.
    assert set(found["ended"]) <= {1, 2}
    assert sum(found["ended"]) <= len(trials) + 3
    assert found["authentication"] == "token"


def test_two_workers_give_the_trials_of_one_process(tmp_path: Path) -> None:
    settings = (
        "data.max_train_images=300", "supernet.epochs=2", "supernet.cache=false", "search.design_trials=4",
        "search.batch_size=2", "search.mc_samples=8", "search.pool_size=8", "search.rounds=0",
    )  # fmt: skip
    given = [part for setting in settings for part in ("--set", setting)]
    trials = []
    on_workers = ["--ray", "local", "--workers", "2", "--set", "execution.cpus_per_worker=0.5"]
    for name, options in (("one", []), ("two", on_workers)):
        run_alone(
            ["aebnas_bo.run", "--budget", "8", "--out", str(tmp_path / name), "--quiet", *given, *options],
            tmp_path,
        )
        trials.append((tmp_path / name / "trials.csv").read_text().splitlines())
    without_times = [[timeless(line) for line in as_cells(lines)] for lines in trials]
    assert without_times[0] == without_times[1]


def as_cells(lines: list[str]) -> list[dict[str, str]]:
    header, *rows = [line.split(",") for line in lines]
    return [dict(zip(header, row, strict=True)) for row in rows]


def timeless(row: dict[str, str]) -> dict[str, str]:
    return {name: value for name, value in row.items() if not name.endswith("_s") and name not in {"worker", "attempt"}}
