from dataclasses import replace

import numpy as np
import pytest
import torch

from aebnas_bo.analysis.front_correction import (
    NUM_HALVINGS,
    choice_optimism,
    correct_front,
    cross_fitted,
    random_halves,
    thresholds_of,
)
from aebnas_bo.analysis.pareto import pareto_front
from aebnas_bo.config.loading import load_config
from aebnas_bo.early_exit.exit_rule import ExitTable, evaluate_thresholds
from aebnas_bo.search.trial import Observation, observations
from aebnas_bo.space.architecture import Architecture
from aebnas_bo.space.macs import ExitCosts, exit_costs
from aebnas_bo.space.network_space import NetworkSpace, threshold_name
from tests.made_trials import completed, with_metrics

from .conftest import make_trial

COSTS = ExitCosts(1000, (4000, 5000), 300, (200, 100), (0, 2), (0, 1))


def a_table(num_images: int, seed: int = 0, knows: float = 0.0) -> ExitTable:
    """Outputs that are right with 60 %; what they know of when they are is all that tuning can rightly use."""
    generator = torch.Generator().manual_seed(seed)
    right = torch.rand(3, num_images, generator=generator) < 0.6
    sure = (1.0 - knows) * torch.rand(3, num_images, generator=generator) + knows * right
    return ExitTable(sure, right, COSTS.cumulative)


def test_halves_are_disjoint_whole_and_in_both_orders() -> None:
    halves = random_halves(9, 3)
    assert len(halves) == 2 * NUM_HALVINGS
    for one, other in halves:
        assert sorted([*one.tolist(), *other.tolist()]) == list(range(9))
    assert torch.equal(halves[0][0], halves[1][1])
    assert torch.equal(halves[0][1], halves[1][0])
    assert not torch.equal(halves[0][0], halves[2][0])
    again, other_seed = random_halves(9, 3), random_halves(9, 4)
    assert torch.equal(again[0][0], halves[0][0])
    assert any(not torch.equal(a[0], b[0]) for a, b in zip(halves, other_seed, strict=True))


def test_thresholds_tuned_to_noise_are_corrected() -> None:
    halves = random_halves(200, 0)
    found = cross_fitted(a_table(200), COSTS, 8000.0, halves=halves)
    assert found.tuned_accuracy > 63.0
    assert found.accuracy < found.tuned_accuracy - 3.0
    assert COSTS.cumulative[0] / 1e6 <= found.average_macs <= 0.0085


def test_a_network_without_exits_needs_no_correction() -> None:
    costs = ExitCosts(1000, (4000,), 300, (), (), ())
    table = ExitTable(torch.rand(1, 40), torch.arange(40)[None] < 30, costs.cumulative)
    found = cross_fitted(table, costs, 5300.0, halves=random_halves(40, 0))
    assert found.accuracy == pytest.approx(75.0)
    assert found.tuned_accuracy == pytest.approx(75.0)
    assert found.average_macs == pytest.approx(0.0053)


def test_the_best_of_many_equal_networks_is_corrected(objectives) -> None:
    generator = torch.Generator().manual_seed(0)
    answers = {number: torch.rand(100, generator=generator) < 0.7 for number in range(50)}
    equal = [make_trial(number, 100.0 * float(right.double().mean()), 2.0) for number, right in answers.items()]
    found = choice_optimism(
        observations(equal), lambda trial: answers[trial.number], objectives, halves=random_halves(100, 0)
    )
    assert found is not None
    assert found > 5.0
    alone = choice_optimism(
        observations(equal[:1]), lambda trial: answers[trial.number], objectives, halves=random_halves(100, 0)
    )
    assert alone == pytest.approx(0.0)


def test_no_front_has_no_optimism(objectives) -> None:
    limited = (replace(objectives[0], limit=99.9), objectives[1])
    answers = torch.arange(10) < 5
    observed = observations([make_trial(0, 50.0, 2.0)])
    assert choice_optimism(observed, lambda _: answers, limited, halves=random_halves(10, 0)) is None


@pytest.mark.parametrize(
    "settings", [[], ["space.thresholds=tuned", "estimation.tuning.goal=max_macs", "estimation.tuning.value=0.05"]]
)
def test_every_point_of_the_front_is_corrected(settings, objectives) -> None:
    space = NetworkSpace(load_config(None, settings).space, 1, 10)

    def table_of(architecture: Architecture) -> ExitTable:
        costs = exit_costs(architecture, space.skeleton)
        generator = torch.Generator().manual_seed(int(architecture.key[:8], 16))
        shape = (len(costs.cumulative), 120)
        right = torch.rand(shape, generator=generator) < 0.6
        return ExitTable(torch.rand(shape, generator=generator), right, costs.cumulative)

    generator = np.random.default_rng(0)
    trials = []
    for number in range(6):
        point = space.search_space.sample(generator)
        architecture = space.architecture(point)
        active = architecture.active_exits[:1] if space.tunes_thresholds else architecture.active_exits
        thresholds = {threshold_name(k): point.get(threshold_name(k), 0.5) for k in active}
        trial = completed(number, architecture.key, point, {}, thresholds=thresholds)
        kept = [one for one in thresholds_of(Observation(trial), space) if one is not None]
        if len(kept) == len(architecture.active_exits):
            outcome = evaluate_thresholds(table_of(architecture), kept)
            trials.append(with_metrics(trial, accuracy=outcome.accuracy, average_macs=outcome.average_macs / 1e6))
        else:
            trials.append(with_metrics(trial, accuracy=50.0 + number, average_macs=0.1))
    found = correct_front(trials, objectives, space, table_of=table_of, seed=0)
    front = pareto_front(trials, objectives)
    assert set(found.points) == {trial.place for trial in front}
    assert found.threshold_optimism == pytest.approx(
        float(np.mean([one.tuned_accuracy - one.accuracy for one in found.points.values()]))
    )
    assert found.choice_optimism is not None
    nothing = correct_front([], objectives, space, table_of=table_of, seed=0)
    assert (nothing.points, nothing.threshold_optimism, nothing.choice_optimism) == ({}, None, None)
