"""Winners of both rules of a short list: equal times, one row each, paired differences."""

import json
from pathlib import Path

import pytest
from rich.console import Console

from aebnas_bo.early_exit.threshold_tuning import TuningGoal
from aebnas_bo.errors import CorruptStateError
from aebnas_bo.preparation.progress import RunProgress
from aebnas_bo.shortlist.short_training import ShortListContext
from aebnas_bo.shortlist.shortlist_study import read_pool
from benchmarks import two_fidelity as module
from benchmarks.two_fidelity import (
    HEADER,
    Speeds,
    _goals,
    mean_text,
    short_seconds,
    table,
    unequal_times,
    winners,
    without_shortlist,
)

ANY = TuningGoal("max_macs", 1e9)
SETTINGS = (
    "data.max_train_images=300", "shortlist.rungs=[[6,1],[2,2]]", "shortlist.budgets=2", "final_training.epochs=1",
)  # fmt: skip


@pytest.fixture
def context(tiny_run) -> ShortListContext:
    from aebnas_bo.analysis.selection import Selection
    from aebnas_bo.deploy.training_pipeline import choose_candidate

    run = tiny_run(*SETTINGS)
    return ShortListContext(run, choose_candidate(run, Selection("best-accuracy"), ()).problem)


@pytest.fixture
def timed(monkeypatch) -> list[str]:
    """Networks take 1, 2, 3 ... seconds per image in the order in which they are timed."""
    noted: list[str] = []

    def time_network(problem, architecture, skeleton) -> float:
        noted.append(architecture.key)
        return float(len(noted))

    monkeypatch.setattr(module, "time_network", time_network)
    return noted


def test_networks_are_timed_once_and_trained_for_equal_times(context: ShortListContext, timed: list[str]) -> None:
    one, other, third, *_ = read_pool(context, [ANY]).ranked
    speeds = Speeds(context, [one, other, third])
    assert [speeds.epochs(network, 12) for network in (one, other, third)] == [24, 12, 8]
    assert speeds.epochs(third, 1) == module.LEAST_EPOCHS
    again = Speeds(context, [one, other, third])
    assert again.epochs(one, 12) == 24
    assert timed == [one.key, other.key, third.key]
    path = context.folder.path / "speeds.json"
    path.write_text(path.read_text().replace("2.0", "9.0"))
    with pytest.raises(CorruptStateError, match="delete it"):
        Speeds(context, [one])


@pytest.mark.slow
@pytest.mark.usefixtures("timed")
def test_every_rule_selects_and_trains_a_network_for_every_budget(context: ShortListContext) -> None:
    progress = RunProgress(Console(stderr=True), quiet=True)
    found = {rule: list(winners(context, rule, progress)) for rule in (module.ESTIMATES, module.SURROGATE)}
    for rule in (module.ALONE, module.PLAIN):
        found[rule] = list(without_shortlist(context, rule, 3000.0, progress))
    for rule, rows in found.items():
        assert [row[1] for row in rows] == [rule, rule]
        assert all(len(row) == len(HEADER) - 1 for row in rows)
        assert {Path(folder).name.split("-")[0] for folder in context.folder.trained.glob("*-seed0")} >= {
            row[2] for row in rows
        }
    origins = {row[3] for row in found["estimates"]}
    assert "surrogate" not in origins
    pool = read_pool(context, _goals(context))
    best = [pool.best(goal) for goal in _goals(context)]
    assert [row[2] for row in found[module.ALONE]] == [one.key for one in best]
    plain = [read_pool(context, [goal]).choose(1)[0] for goal in _goals(context)]
    assert [row[2] for row in found[module.PLAIN]] == [one.key for one in plain]
    recipes = [
        json.loads(file.read_text())["settings"]["epochs"]
        for file in context.folder.trained.glob("*-seed0*/recipe.json")
    ]
    speeds, num_images = Speeds(context, best), len(context.problem.splits.train)
    seconds = num_images * speeds.seconds(best[0]) + 1500.0
    for network in (best[0], plain[0]):  # equal time
        assert round(seconds / (num_images * speeds.seconds(network))) in recipes


def row(seed: int, goal: str, rule: str, test: float, key: str) -> dict[str, str]:
    figures = dict.fromkeys(("validation_accuracy", "short_accuracy", "short_s"), "1")
    return {"seed": str(seed), "goal": goal, "rule": rule, "test_accuracy": str(test), "key": key, **figures}


def test_differences_are_paired_by_seed_and_budget() -> None:
    rows = [
        row(0, "small", "estimates", 60.0, "a"), row(0, "large", "estimates", 80.0, "b"),
        row(0, "small", "surrogate", 61.0, "c"), row(0, "large", "surrogate", 80.0, "b"),
        row(1, "small", "estimates", 60.0, "a"), row(1, "small", "surrogate", 63.0, "d"),
        row(1, "large", "estimates", 99.0, "e"),
    ]  # fmt: skip
    text = table(rows, "estimates", "surrogate")
    # differences 1, 0 and 3; by seed 0.5 and 3
    assert "| test accuracy | 66.67 | 68.00 | +1.33 ± 0.88 | 3 | +1.75 ± 1.25 | 2 |" in text
    assert text.endswith("The rules chose different networks in 2 of 3 pairs.\n")
    assert table([], "best estimate", "estimates").endswith("in 0 of 0 pairs.\n")


def test_short_lists_are_not_added_to_networks_without_their_time() -> None:
    alone, listed = row(0, "small", "best estimate", 60.0, "a"), row(0, "small", "estimates", 60.0, "a")
    assert "seed 0 got no time of a short list" in unequal_times([alone], ["estimates", "best estimate"])
    assert unequal_times([alone], ["best estimate", "plain"]) == ""
    assert unequal_times([alone, listed], ["estimates", "plain"]) == ""
    assert (short_seconds([alone], 0), short_seconds([alone, listed], 0)) == (0.0, 1.0)


def test_a_single_difference_has_no_error() -> None:
    assert mean_text([0.5]) == "+0.50"
