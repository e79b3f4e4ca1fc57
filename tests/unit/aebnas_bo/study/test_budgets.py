from types import SimpleNamespace

import pytest

from aebnas_bo.search.trial import Observation
from aebnas_bo.space.macs import millions
from aebnas_bo.study.budgets import goals_of_run
from tests.given_networks import declared_space
from tests.made_trials import completed

SPACE = declared_space()
ORIGINAL = SPACE.largest_without_exits.key
WHOLE = millions(SPACE.skeleton.given.macs)


def problem(space=SPACE, limit: float | None = None):
    config = SimpleNamespace(shortlist=SimpleNamespace(budgets=2), search=SimpleNamespace(max_average_macs=limit))
    return SimpleNamespace(config=config, space=space)


def trial(accuracy: float, macs: float, key: str = "other") -> Observation:
    return Observation(completed(0, key, {}, {"accuracy": accuracy, "average_macs": macs}))


def budgets(observed, **changes) -> list[float]:
    return [millions(goal.value) for goal in goals_of_run(problem(**changes), observed)]


def test_the_highest_budget_keeps_the_accuracy_of_a_given_backbone() -> None:
    cheaper = [trial(89.2, 0.8 * WHOLE), trial(89.5, 0.9 * WHOLE), trial(89.0, 0.7 * WHOLE), trial(20.0, 0.1 * WHOLE)]
    assert budgets([trial(90.0, WHOLE, ORIGINAL), *cheaper]) == pytest.approx([0.4 * WHOLE, 0.8 * WHOLE])


def test_without_cheaper_trials_that_keep_it_the_backbone_is_the_highest_budget() -> None:
    assert budgets([trial(90.0, WHOLE, ORIGINAL), trial(80.0, 0.3 * WHOLE)])[-1] == pytest.approx(WHOLE)
    assert budgets([trial(80.0, 0.3 * WHOLE)])[-1] == pytest.approx(WHOLE)


def test_a_limit_is_the_highest_budget() -> None:
    trials = [trial(90.0, WHOLE, ORIGINAL), trial(89.5, 0.9 * WHOLE), trial(20.0, 0.1 * WHOLE)]
    assert budgets(trials, limit=0.5 * WHOLE) == pytest.approx([0.25 * WHOLE, 0.5 * WHOLE])


def test_searched_networks_have_budgets_down_to_a_tenth() -> None:
    space = SimpleNamespace(skeleton=SimpleNamespace(given=None))
    assert budgets([trial(50.0, 0.01), trial(90.0, 2.0)], space=space) == pytest.approx([0.2, 2.0])
    assert budgets([trial(50.0, 0.01), trial(90.0, 2.0)], space=space, limit=1.0) == pytest.approx([0.1, 1.0])
