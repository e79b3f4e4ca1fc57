"""Thresholds by expected accuracy: the probabilities, and that they choose better than counts of few images."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from aebnas_bo.early_exit.exit_rule import ExitTable, ExitTableError, evaluate_thresholds
from aebnas_bo.early_exit.expected_accuracy import tune_by_expected_accuracy, with_probabilities
from aebnas_bo.early_exit.threshold_tuning import TuningGoal, tune_thresholds

BACKBONE, BRANCHES = (40, 100), (4,)
MACS = (44, 104)


def drawn(num_images: int, generator: torch.Generator) -> ExitTable:
    """Return images whose first output is right as often as its confidence says, the second one more often."""
    first, second = (torch.rand(num_images, generator=generator) for _ in range(2))
    confidence = torch.stack([first, second]).double()
    probability = torch.stack([0.3 + 0.7 * first, 0.7 + 0.3 * second])
    return ExitTable(confidence, torch.rand(2, num_images, generator=generator) < probability, MACS)


def accuracy_of(thresholds: tuple[float | None, ...], table: ExitTable) -> float:
    [threshold] = thresholds
    off = ExitTable(table.confidence[1:], table.is_correct[1:], (100,))
    if threshold is None:
        return evaluate_thresholds(off, ()).accuracy
    return evaluate_thresholds(table, (threshold,)).accuracy


def test_probabilities_follow_the_share_of_right_answers_at_each_confidence() -> None:
    table = drawn(20_000, torch.Generator().manual_seed(0))
    probability = with_probabilities(table).probability
    assert probability is not None
    for low in (0.1, 0.4, 0.7):
        inside = (table.confidence[0] >= low) & (table.confidence[0] < low + 0.2)
        share = table.is_correct[0, inside].double().mean()
        assert probability[0, inside].mean() == pytest.approx(float(share), abs=0.06)
    assert (probability[0][table.confidence[0].argsort()].diff() >= 0).all()


@pytest.mark.parametrize(("is_right", "share"), [(True, 11 / 12), (False, 1 / 12)])
def test_an_output_that_is_always_right_or_wrong_keeps_a_little_doubt(is_right: bool, share: float) -> None:
    confidence = torch.linspace(0.1, 0.9, 10, dtype=torch.float64).repeat(1, 1)
    probability = with_probabilities(ExitTable(confidence, torch.full((1, 10), is_right), (1,))).probability
    assert probability is not None
    assert probability[0].tolist() == pytest.approx([share] * 10, abs=1e-3)


@pytest.mark.slow
def test_expected_accuracy_chooses_better_thresholds_from_few_images() -> None:
    generator = torch.Generator().manual_seed(1)
    population = drawn(50_000, generator)
    costs, goal = {"backbone": BACKBONE, "branches": BRANCHES}, TuningGoal("max_macs", 80.0)
    gains: list[Tensor] = []
    for _ in range(20):
        sample = drawn(100, generator)
        by_expectation, by_counts = (
            tune_by_expected_accuracy(sample, **costs, goal=goal),
            tune_thresholds(sample, **costs, goal=goal),
        )
        assert by_expectation.average_macs <= goal.value
        gain = accuracy_of(by_expectation.thresholds, population) - accuracy_of(by_counts.thresholds, population)
        gains.append(torch.tensor(gain))
    assert torch.stack(gains).mean() > 0.1


def test_the_accuracy_returned_is_that_of_the_images_and_so_is_one_asked_for() -> None:
    sample = drawn(60, torch.Generator().manual_seed(2))
    costs = {"backbone": BACKBONE, "branches": BRANCHES}
    tuned = tune_by_expected_accuracy(sample, **costs, goal=TuningGoal("max_macs", 80.0))
    assert tuned.accuracy == pytest.approx(accuracy_of(tuned.thresholds, sample))
    goal = TuningGoal("min_accuracy", 70.0)
    assert tune_by_expected_accuracy(sample, **costs, goal=goal) == tune_thresholds(sample, **costs, goal=goal)


def test_probabilities_need_the_shape_of_the_table() -> None:
    table = drawn(10, torch.Generator().manual_seed(3))
    with pytest.raises(ExitTableError, match="probability must be"):
        replace(table, probability=torch.zeros(1, 10))
