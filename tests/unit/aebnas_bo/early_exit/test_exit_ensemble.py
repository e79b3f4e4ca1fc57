"""Outputs that predict together: weights of logits, and tables and thresholds that depend on the exits passed."""

from itertools import pairwise, product

import pytest
import torch
from torch import Tensor

from aebnas_bo.early_exit.exit_ensemble import NO_ENSEMBLE, all_paths, fit_ensemble
from aebnas_bo.early_exit.exit_rule import evaluate_thresholds
from aebnas_bo.early_exit.expected_accuracy import tune_by_expected_accuracy, without_probabilities
from aebnas_bo.early_exit.outputs_in_use import keep_outputs, outputs_in_use
from aebnas_bo.early_exit.threshold_tuning import TunedThresholds, TuningGoal, pareto_thresholds
from aebnas_bo.estimation.measuring import exit_table
from aebnas_bo.estimation.settings import EstimationConfig

BACKBONE, BRANCHES = (10, 20, 40), (1, 2)
MACS = (11, 23, 43)


def noisy_outputs(num_images: int, strengths: tuple[float, ...], seed: int) -> tuple[list[Tensor], Tensor]:
    """Outputs that see the class of each of five through noise of their own, more or less clearly."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(0, 5, (num_images,), generator=generator)
    signal = torch.nn.functional.one_hot(labels, 5).float()
    return [one * signal + torch.randn(num_images, 5, generator=generator) for one in strengths], labels


def accuracy(logits: Tensor, labels: Tensor) -> float:
    return 100.0 * float((logits.argmax(dim=1) == labels).double().mean())


def table_of(outputs: list[Tensor], labels: Tensor, ensemble=NO_ENSEMBLE):
    return exit_table(outputs, labels, macs=MACS, key="", config=EstimationConfig(), ensemble=ensemble)


def test_outputs_with_noise_of_their_own_are_more_accurate_together() -> None:
    ensemble = fit_ensemble(*noisy_outputs(300, (1.5, 1.5, 1.5), seed=0))
    outputs, labels = noisy_outputs(5000, (1.5, 1.5, 1.5), seed=1)
    alone, two, three = (accuracy(ensemble.logits(outputs, path), labels) for path in ((2,), (1, 2), (0, 1, 2)))
    assert alone + 5.0 < two < three - 3.0
    assert all(weight > 0.0 for weights in ensemble.weights.values() for weight in weights)


def test_an_exit_that_knows_nothing_gets_no_weight() -> None:
    ensemble = fit_ensemble(*noisy_outputs(3000, (0.0, 2.0), seed=0))
    useless, own = ensemble.weights[0, 1]
    assert useless < 0.1 < own
    outputs, labels = noisy_outputs(5000, (0.0, 2.0), seed=1)
    assert accuracy(ensemble.logits(outputs, (0, 1)), labels) == pytest.approx(accuracy(outputs[1], labels), abs=0.5)


def test_few_images_hardly_move_the_weights() -> None:
    for seed in range(5):
        useless, own = fit_ensemble(*noisy_outputs(10, (0.0, 2.0), seed=seed)).weights[0, 1]
        assert useless < 0.4
        assert 0.6 < own < 1.4


def test_exits_with_a_learned_confidence_predict_alone() -> None:
    (first, last), labels = noisy_outputs(50, (1.0, 2.0), seed=0)
    assert fit_ensemble([torch.cat([first, first[:, :1]], dim=1), last], labels) == NO_ENSEMBLE


def test_weights_minimise_the_penalised_cross_entropy() -> None:
    outputs, labels = noisy_outputs(200, (1.0, 2.0), seed=0)
    best = fit_ensemble(outputs, labels).weights[0, 1]

    def loss(first: float, second: float) -> float:
        entropy = torch.nn.functional.cross_entropy(first * outputs[0] + second * outputs[1], labels)
        return float(entropy) + 5.0 / 200 * (first**2 + (second - 1.0) ** 2)

    for moved in ((0.01, 0.0), (-0.01, 0.0), (0.0, 0.01), (0.0, -0.01)):
        assert loss(best[0] + moved[0], best[1] + moved[1]) > loss(*best)


def test_the_first_output_predicts_alone_and_others_behind_the_exits_that_are_on() -> None:
    outputs, labels = noisy_outputs(400, (1.0, 1.5, 2.0), seed=0)
    ensemble = fit_ensemble(outputs, labels)
    assert set(ensemble.weights) == {path for path in all_paths(3) if len(path) > 1}
    table = table_of(outputs, labels, ensemble)
    without_second = keep_outputs(table, (0, 2), backbone=BACKBONE, branches=BRANCHES)
    weights = ensemble.weights[0, 2]
    together = weights[0] * outputs[0] + weights[1] * outputs[2]
    assert without_second.macs == (11, 41)
    assert torch.equal(without_second.is_correct[0], outputs[0].argmax(dim=1) == labels)
    assert torch.equal(without_second.is_correct[1], together.argmax(dim=1) == labels)
    assert not torch.equal(without_second.is_correct[1], table.is_correct[2])


def test_a_prediction_is_right_with_its_probability_by_all_outputs() -> None:
    outputs, labels = noisy_outputs(400, (1.0, 1.5, 2.0), seed=0)
    ensemble = fit_ensemble(outputs, labels)
    table = table_of(outputs, labels, ensemble)
    assert table.probability is not None
    best = ensemble.logits(outputs, (0, 1, 2)).double().softmax(dim=1)
    assert torch.equal(table.probability[2], best.max(dim=1).values)
    assert torch.equal(table.probability[0], best.gather(1, outputs[0].argmax(dim=1)[:, None])[:, 0])
    assert all(bool(later.mean() > earlier.mean()) for earlier, later in pairwise(table.probability))


def tuned_accuracy(tuned: TunedThresholds, table) -> float:
    used = outputs_in_use(table, tuned.thresholds, backbone=BACKBONE, branches=BRANCHES)
    return evaluate_thresholds(used.table, used.thresholds).accuracy


def test_thresholds_tuned_on_few_images_use_the_whole_budget_where_later_outputs_are_better() -> None:
    goal, found = TuningGoal("max_macs", 43), []
    for seed in range(8):
        few, test = noisy_outputs(150, (1.5, 1.8, 2.0), seed=seed), noisy_outputs(4000, (1.5, 1.8, 2.0), seed=100)
        ensemble, accuracies = fit_ensemble(*few), []
        for one in (ensemble, NO_ENSEMBLE):
            tuned = tune_by_expected_accuracy(table_of(*few, one), backbone=BACKBONE, branches=BRANCHES, goal=goal)
            accuracies.append(tuned_accuracy(tuned, table_of(*test, one)))
        found.append(accuracies)
    together, alone = torch.tensor(found).T
    assert float(together.min()) > float(alone.max())


@pytest.mark.parametrize("seed", range(4))
def test_the_trade_off_is_exact_over_all_exits_that_may_be_off(seed) -> None:
    outputs, labels = noisy_outputs(25, (0.5, 1.0, 1.0), seed=10 + seed)
    table = without_probabilities(table_of(outputs, labels, fit_ensemble(*noisy_outputs(200, (1.5, 1.8, 2.0), seed=0))))
    possible = set()
    for rows in all_paths(3):
        kept = keep_outputs(table, rows, backbone=BACKBONE, branches=BRANCHES)
        for thresholds in product(*([*row.tolist(), 1.1] for row in kept.certainty[:-1])):
            outcome = evaluate_thresholds(kept, thresholds)
            possible.add((outcome.average_macs, outcome.accuracy))
    best = [one for one in possible if not any(o != one and o[0] <= one[0] and o[1] >= one[1] for o in possible)]
    front = pareto_thresholds(table, backbone=BACKBONE, branches=BRANCHES)
    assert [(one.average_macs, one.accuracy) for one in front] == [pytest.approx(one) for one in sorted(best)]


def test_a_minimum_accuracy_is_counted() -> None:
    outputs, labels = noisy_outputs(400, (1.0, 1.5, 2.0), seed=0)
    table = table_of(outputs, labels, fit_ensemble(outputs, labels))
    goal = TuningGoal("min_accuracy", 70.0)
    tuned = tune_by_expected_accuracy(table, backbone=BACKBONE, branches=BRANCHES, goal=goal)
    assert tuned_accuracy(tuned, table) == tuned.accuracy >= 70.0
