"""A real Ray cluster of three nodes on this machine: workers and nodes are lost in the middle of trials."""

import json
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.ray_programs import run_alone

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(find_spec("ray") is None, reason="Ray is not installed: pip install 'aebnas_bo[ray]'"),
]


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


def test_two_workers_give_the_trials_of_one_process(call, tmp_path: Path) -> None:
    settings = (
        "data.max_train_images=300", "supernet.epochs=2", "supernet.cache=false", "search.design_trials=4",
        "search.batch_size=2", "search.mc_samples=8", "search.pool_size=8", "search.rounds=0",
    )  # fmt: skip
    given = ["--budget=8", "--quiet", *(f"--set={setting}" for setting in settings)]
    assert call("run", "--out=one", *given).returncode == 0
    on_workers = ["--ray=local", "--workers=2", "--set=execution.cpus_per_worker=0.5"]
    run_alone(["aebnas_bo.run", "--out=two", *given, *on_workers], tmp_path)
    one, two = (
        [timeless(row) for row in as_cells((tmp_path / name / "trials.csv").read_text().splitlines())]
        for name in ("one", "two")
    )
    assert one == two


def as_cells(lines: list[str]) -> list[dict[str, str]]:
    header, *rows = [line.split(",") for line in lines]
    return [dict(zip(header, row, strict=True)) for row in rows]


def timeless(row: dict[str, str]) -> dict[str, str]:
    return {name: value for name, value in row.items() if not name.endswith("_s") and name not in {"worker", "attempt"}}
