from dataclasses import replace

import numpy as np
import pytest
import torch

from aebnas_bo.config.loading import load_config
from aebnas_bo.early_exit.threshold_tuning import TuningGoal
from aebnas_bo.estimation.estimate import OperatingPoint
from aebnas_bo.search.objectives import Objective
from aebnas_bo.search.trial import Trial
from aebnas_bo.shortlist import surrogate_choice as module
from aebnas_bo.shortlist.contenders import Pool, pool_of
from aebnas_bo.shortlist.rungs import Tuned
from aebnas_bo.shortlist.surrogate_choice import choose_by_surrogate, nearest_observations, tuned_point
from aebnas_bo.space.network_space import NetworkSpace, threshold_name
from surrogates.next_training import NextTrainings
from tests.made_trials import completed

OBJECTIVES = (Objective("accuracy", True, 10.0, "%"), Objective("average_macs", False, 9.0, "M"))
CHEAP, ANY = TuningGoal("max_macs", 1e6), TuningGoal("max_macs", 9e6)


@pytest.fixture(scope="module")
def space() -> NetworkSpace:
    return NetworkSpace(load_config(None).space, 1, 10)


@pytest.fixture(scope="module")
def trials(space: NetworkSpace) -> list[Trial]:
    """Five networks with an exit: b and d are cheap, a and e are at their further thresholds, c never."""
    generator, points = np.random.default_rng(0), []
    while len(points) < 5:
        point = space.search_space.sample(generator)
        if space.architecture(point).active_exits:
            points.append(point)
    made = []
    for number, (point, macs) in enumerate(zip(points, (2.0, 0.5, 3.0, 0.9, 4.0), strict=True)):
        figures = {"accuracy": 80.0 + number, "average_macs": macs}
        trial = completed(number, space.architecture(point).key, point, figures, sems={"accuracy": 2.0})
        name = threshold_name(space.architecture(point).active_exits[0])
        further = OperatingPoint({"accuracy": 60.0 + number, "average_macs": 0.8}, {}, thresholds={name: 0.25})
        made.append(replace(trial, points=(*trial.points, further)) if number in (0, 4) else trial)
    return made


@pytest.fixture
def pool(trials, space) -> Pool:
    return pool_of(trials, space, [CHEAP, ANY], objectives=OBJECTIVES)


def tuned(pool: Pool, number: int, macs: float, threshold: float | None = 0.5) -> Tuned:
    one = pool.ranked[number]
    thresholds = tuple(threshold for _ in one.architecture.active_exits)
    return Tuned(one, thresholds, 5_000_000, 70.0, macs, torch.ones(100))


def test_tuned_thresholds_replace_those_of_the_estimate(pool: Pool, space: NetworkSpace) -> None:
    one = tuned(pool, 0, 1e5, 0.375)
    point, estimated = tuned_point(one, ANY, space), one.contender.observations[ANY].parameters
    names = {threshold_name(position) for position in one.contender.architecture.active_exits}
    assert names
    assert {point[name] for name in names} == {0.375}
    assert {name: value for name, value in point.items() if name not in names} == {
        name: value for name, value in estimated.items() if name not in names
    }
    closed = tuned_point(tuned(pool, 0, 1e5, None), ANY, space)
    assert {closed[name] for name in names} == {space.search_space[next(iter(names))].upper}
    snapped = tuned_point(tuned(pool, 0, 1e5, -1.0), ANY, space)
    assert {snapped[name] for name in names} == {space.search_space[next(iter(names))].lower}


def test_thresholds_of_a_list_of_values_take_the_nearest(pool: Pool) -> None:
    values = NetworkSpace(load_config(None, ["space.thresholds=[0.5,0.75,1.0]"]).space, 1, 10)
    assert module._nearest(values, "exit1_threshold", 0.7) == 0.75


def test_the_best_observation_of_each_network_for_each_goal_is_fitted(trials, pool: Pool, monkeypatch) -> None:
    nearest = nearest_observations(pool.observed, [CHEAP, ANY])
    # within 1 M: d 83, b 81, e 64, a 60, then c, which misses it; of any cost: e 84, d 83, c 82, b 81, a 80
    assert [one.place for one in nearest] == [(3, 0), (4, 0), (1, 0), (4, 1), (2, 0), (0, 1), (0, 0)]
    monkeypatch.setattr(module, "MOST_ESTIMATES", 3)
    assert [one.place for one in nearest_observations(pool.observed, [CHEAP, ANY])] == [(3, 0), (4, 0), (1, 0)]


def test_contests_have_the_networks_within_each_limit(pool: Pool, space: NetworkSpace, monkeypatch) -> None:
    given: dict[str, object] = {}

    def choose(observed, layout, contests, **others: object) -> NextTrainings:
        given.update(observed=observed, layout=layout, contests=contests, **others)
        return NextTrainings((1,), 0.5)

    monkeypatch.setattr(module, "choose_trainings", choose)
    letters = {pool.ranked[number].observations[ANY].number: number for number in range(5)}
    a, c = letters[0], letters[2]
    trained = {CHEAP: [tuned(pool, a, 2e6), tuned(pool, c, 1e6)], ANY: [tuned(pool, a, 2e6), tuned(pool, c, 1e6)]}
    assert choose_by_surrogate(pool, trained, space, count=2).networks == (1,)
    cheap, of_any = given["contests"]
    # a misses the cheap limit after its training, and c meets it
    assert set(cheap.networks) == {letters[1], c, letters[3], letters[4]}
    assert set(of_any.networks) == set(range(5))
    row = cheap.X[cheap.networks.index(c)]
    assert row.tolist() == space.search_space.encode(tuned_point(trained[CHEAP][1], CHEAP, space)).tolist()
    row = cheap.X[cheap.networks.index(letters[4])]
    further = pool.ranked[letters[4]].observations[CHEAP]
    assert further.index == 1
    assert row.tolist() == space.search_space.encode(further.parameters).tolist()
    assert (given["taken"], given["count"]) == ([a, c], 2)
    observed = given["observed"]
    assert observed.is_trained.tolist() == [False] * 7 + [True] * 4
    assert observed.mean[-4:].tolist() == [70.0] * 4
    # 71 of 102 right: 1e4 * 0.6961 * 0.3039 / 100, of which 15 % are a network's own
    assert observed.variance[-1] == pytest.approx(0.15 * 1e4 * (71 / 102) * (31 / 102) / 100)
    assert observed.variance[0] == pytest.approx(0.15 * 4.0)


def test_a_limit_that_no_network_meets_has_no_contest(pool: Pool, space: NetworkSpace, monkeypatch) -> None:
    seen: list[int] = []

    def choose(observed, layout, contests, **others: object) -> NextTrainings:
        seen.append(len(contests))
        return NextTrainings((1,), 0.5)

    monkeypatch.setattr(module, "choose_trainings", choose)
    nothing = TuningGoal("max_macs", 1.0)
    ranked = tuple(
        replace(one, observations={**one.observations, nothing: one.observations[CHEAP]}) for one in pool.ranked
    )
    choose_by_surrogate(replace(pool, ranked=ranked), {nothing: [], ANY: [tuned(pool, 0, 1e6)]}, space, count=1)
    assert seen == [1]
