from dataclasses import replace
from math import log

import numpy as np
import pytest

from aebnas_bo.config.loading import load_config
from aebnas_bo.early_exit.threshold_tuning import TuningGoal
from aebnas_bo.errors import UsageError
from aebnas_bo.estimation.estimate import OperatingPoint
from aebnas_bo.search.objectives import Objective
from aebnas_bo.search.trial import Observation, Trial
from aebnas_bo.shortlist.contenders import PLAIN_MACS, Contender, Pool, budget_goals, pool_of, score
from aebnas_bo.space.architecture import Architecture
from aebnas_bo.space.macs import exit_costs
from aebnas_bo.space.network_space import NetworkSpace
from aebnas_bo.space.plain_points import EXITS_FROM, plain_points
from tests.made_trials import completed, with_further, with_metrics

from .conftest import contender

OBJECTIVES = (Objective("accuracy", True, 10.0, "%"), Objective("average_macs", False, 5.0, "M"))
CHEAP, ANY = TuningGoal("max_macs", 1e6), TuningGoal("max_macs", 9e6)


@pytest.fixture(scope="module")
def space() -> NetworkSpace:
    return NetworkSpace(load_config(None).space, 1, 10)


@pytest.fixture
def trials(space: NetworkSpace) -> list[Trial]:
    """Networks a (in two trials), b, c and d; trial 4 failed."""
    generator = np.random.default_rng(0)
    of_network = {key: space.search_space.sample(generator) for key in "abcd"}
    rows = (("a", 90.0, 2.0), ("b", 80.0, 0.9), ("c", 70.0, 0.8), ("a", 60.0, 0.7), ("", 0.0, 0.0), ("d", 85.0, 3.0))
    return [
        completed(number, key, of_network[key], {"accuracy": accuracy, "average_macs": macs})
        if key
        else Trial(number, key, "FAILED", {})
        for number, (key, accuracy, macs) in enumerate(rows)
    ]


def chosen(trials: list[Trial], space: NetworkSpace, *goals: TuningGoal, count: int = 9, objectives=OBJECTIVES):
    return pool_of(trials, space, goals, objectives=objectives).choose(count)


def found(key: str, cheap: float, of_any: float) -> Contender:
    """A network with estimates for both goals."""
    accuracies = {CHEAP: cheap, ANY: of_any}
    observed = {
        goal: Observation(completed(0, key, {}, {"accuracy": float(accuracy), "average_macs": 0.5}))
        for goal, accuracy in accuracies.items()
    }
    return replace(contender(key, 8, CHEAP, ANY), observations=observed)


def test_plain_networks_come_first_those_whose_macs_suit_each_goal() -> None:
    space = NetworkSpace(load_config(None, ["space.preset=auto", "data.dataset=cifar10", "data.root=."]).space, 3, 10)
    points = [point for point in plain_points(space) if space.architecture(point).active_exits]
    plain = [space.architecture(point) for point in points]
    macs = [exit_costs(one, space.skeleton).cumulative[-1] for one in plain]
    trials = [
        completed(number, one.key, point, {"accuracy": 50.0 + number, "average_macs": of_one / 1e6})
        for number, (one, point, of_one) in enumerate(zip(plain, points, macs, strict=True))
    ]
    goal = TuningGoal("max_macs", macs[3] / PLAIN_MACS)
    listed = pool_of(trials, space, [goal], objectives=OBJECTIVES[:1], plain=plain).choose(4)
    ends = {one.key: exit_costs(one, space.skeleton).backbone[-1] for one in plain}
    assert ends[listed[0].key] == max(end for end in ends.values() if end <= goal.value)  # needs no exit
    assert listed[1].key == plain[3].key  # exceeds the budget
    lower = [one for one in plain if one.resolution == 24]
    nearest = min(lower, key=lambda one: abs(log(exit_costs(one, space.skeleton).cumulative[-1] / macs[3])))
    assert listed[2].key == nearest.key
    assert all(one.is_plain for one in listed)
    tight = TuningGoal("max_macs", exit_costs(plain[3], space.skeleton).cumulative[0] - 1.0)
    first = pool_of(trials, space, [tight], objectives=OBJECTIVES[:1], plain=plain).choose(1)[0]
    assert exit_costs(first.architecture, space.skeleton).cumulative[0] <= tight.value
    asked = TuningGoal("min_accuracy", 55.0)
    best = pool_of(trials, space, [asked], objectives=OBJECTIVES[:1], plain=plain).choose(4)
    assert {contender.architecture.resolution for contender in best[:2]} == {32, 24}
    found = replace(with_metrics(trials[0], accuracy=99.0, average_macs=0.01), number=99, key="found")
    mixed = pool_of([*trials, found], space, [goal], objectives=OBJECTIVES[:1], plain=plain).choose(4)
    assert [one.is_plain for one in mixed] == [True, True, True, False]
    assert mixed[-1].key == "found"


def test_small_budgets_are_served_by_the_largest_plain_network_without_exits() -> None:
    settings = ["space.preset=auto", "data.dataset=cifar10", "data.root=.", "data.image_size=16"]
    space = NetworkSpace(load_config(None, settings).space, 3, 10)
    points = plain_points(space)
    plain = [space.architecture(point) for point in points]
    trials = [
        completed(number, one.key, point, {"accuracy": 50.0, "average_macs": 0.01})
        for number, (one, point) in enumerate(zip(plain, points, strict=True))
    ]

    def first(budget: float) -> Architecture:
        goal = TuningGoal("max_macs", budget)
        return pool_of(trials, space, [goal], objectives=OBJECTIVES, plain=plain).choose(1)[0].architecture

    static = [one for one in plain if not one.active_exits]
    macs = [exit_costs(one, space.skeleton).cumulative[-1] for one in static]
    assert first(macs[1] + 1.0) == static[1]
    assert first(macs[1] - 1.0) == static[0]
    assert first(EXITS_FROM).active_exits


def test_goals_take_turns_and_no_network_is_listed_twice(trials, space) -> None:
    # within 1 M: b 80, c 70, a 60; d never: it comes last. Of any cost: a 90, d 85, b 80, c 70.
    assert [one.key for one in chosen(trials, space, CHEAP, ANY)] == ["b", "a", "c", "d"]
    assert [one.key for one in chosen(trials, space, CHEAP, ANY, count=3)] == ["b", "a", "c"]


def test_fewer_networks_than_asked_for_are_all_listed(trials, space) -> None:
    assert len(chosen(trials, space, ANY, count=50)) == 4


def test_a_contender_has_its_best_observation_for_each_goal(trials, space) -> None:
    [one] = [one for one in chosen(trials, space, CHEAP, ANY) if one.key == "a"]
    assert {goal: seen.number for goal, seen in one.observations.items()} == {CHEAP: 3, ANY: 0}
    assert one.architecture == space.architecture(trials[0].parameters)


def test_further_settings_of_thresholds_count_as_observations(trials, space) -> None:
    further = OperatingPoint({"accuracy": 88.0, "average_macs": 0.5}, {})
    trials[5] = with_further(trials[5], further)
    first = chosen(trials, space, CHEAP)[0]
    assert (first.key, first.observations[CHEAP].index) == ("d", 1)


def test_only_networks_within_the_limits_are_listed_if_there_are_any(trials, space) -> None:
    within = (replace(OBJECTIVES[0], limit=75.0), OBJECTIVES[1])
    assert [one.key for one in chosen(trials, space, CHEAP, objectives=within)] == ["b", "a", "d"]
    nothing = (replace(OBJECTIVES[0], limit=99.0), OBJECTIVES[1])
    assert len(chosen(trials, space, CHEAP, objectives=nothing)) == 4


def test_nothing_completed_is_refused(space) -> None:
    with pytest.raises(UsageError, match="no trial was completed"):
        chosen([], space, ANY)


def test_a_network_at_its_own_budget_meets_it() -> None:
    macs = 0.0123456789  # millions, as a trial has them
    goal = TuningGoal("max_macs", 1e6 * macs)
    assert score(goal, 90.0, 1e6 * macs) == (90.0, -1e6 * macs)
    assert score(goal, 90.0, 1e6 * macs * (1 + 1e-12)) < (0.0, 0.0)


def test_budgets_fall_to_a_tenth_evenly_on_a_logarithmic_scale() -> None:
    values = [goal.value for goal in budget_goals(2.0, 3)]
    assert values == pytest.approx([0.2e6, 0.2e6 * 10**0.5, 2e6])
    assert [goal.value for goal in budget_goals(2.0, 1)] == [2e6]


def test_no_budget_is_below_the_cheapest_network() -> None:
    assert [goal.value for goal in budget_goals(2.0, 2, 0.5)] == pytest.approx([0.5e6, 2e6])
    assert [goal.value for goal in budget_goals(2.0, 2, 3.0)] == pytest.approx([2e6, 2e6])


def test_a_list_for_the_surrogate_begins_with_fewer_plain_networks_and_the_best_of_each_goal() -> None:
    plain = [replace(contender(f"plain{place}", 8, CHEAP, ANY), origin="plain", is_plain=True) for place in range(6)]
    others = [found(key, cheap, of_any) for key, cheap, of_any in (("a", 70, 90), ("b", 80, 85), ("c", 75, 80))]
    ranked = [*others, *(replace(one, origin="estimate") for one in plain)]  # by estimate, plain ones are worse
    pool = Pool(tuple(plain), tuple(ranked), ())
    begun = pool.beginning([CHEAP, ANY], 8)
    assert [one.key for one in begun] == ["plain0", "plain1", "plain2", "plain3", "b", "a"]
    assert [one.origin for one in begun] == ["plain"] * 4 + ["estimate"] * 2
    assert [one.key for one in pool.by_estimates(8, begun)][6:] == ["c", "plain4"]
    assert [one.key for one in pool.choose(8)] == [*(f"plain{place}" for place in range(6)), "a", "b"]
    assert [one.key for one in pool.beginning([CHEAP, ANY], 2)] == ["plain0", "b"]  # no longer than the list


def test_a_beginning_has_enough_networks_to_learn_from() -> None:
    pool = Pool((), tuple(found(key, 70 - place, 90 - place) for place, key in enumerate("abcd")), ())
    assert [one.key for one in pool.beginning([CHEAP], 4)] == ["a", "b", "c"]


def test_without_short_training_a_network_spends_most_of_the_budget_and_is_not_much_larger() -> None:
    def one(key: str, accuracy: float, average_macs: float, macs: float) -> Contender:
        metrics = {"accuracy": accuracy, "average_macs": average_macs}
        seen = completed(0, key, {}, metrics, sems={"accuracy": 1.0})
        return replace(contender(key, 8, CHEAP), observations={CHEAP: Observation(seen)}, macs=round(1e6 * macs))

    cheap, large, dear = one("cheap", 90.0, 0.69, 0.7), one("large", 89.0, 0.9, 2.1), one("dear", 99.0, 1.01, 1.1)
    equal, best = one("equal", 80.0, 0.9, 1.9), one("best", 80.0, 1.0, 1.2)
    first = replace(one("first", 60.0, 0.5, 0.5), is_plain=True, origin="plain")
    plain = replace(one("plain", 74.3, 0.8, 0.8), is_plain=True)
    pool = Pool((first, plain), (dear, cheap, large, equal, best, plain, first), ())
    assert pool.without_short_training(CHEAP).key == "best"
    near = replace(plain, observations=one("plain", 74.4, 0.8, 0.8).observations)  # 5.6 points behind, 3.96 errors
    assert replace(pool, ranked=(equal, best, near)).without_short_training(CHEAP).key == "first"
    assert replace(pool, ranked=(equal, best)).without_short_training(CHEAP).key == "best"
    assert replace(pool, ranked=(dear, cheap, large)).without_short_training(CHEAP).key == "first"
    assert Pool((), (large, cheap), ()).without_short_training(CHEAP).key == "large"
    assert replace(pool, ranked=(best,)).without_short_training(TuningGoal("min_accuracy", 50.0)).key == "first"
