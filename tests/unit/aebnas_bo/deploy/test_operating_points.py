"""Thresholds of a trained network: goals, margins and other budgets."""

import csv
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from aebnas_bo.analysis.selection import parse_selection
from aebnas_bo.deploy.network_figures import MeasuredSplit
from aebnas_bo.deploy.operating_points import (
    NUM_BUDGETS,
    operating_points,
    parse_goal,
    tuned_with_margins,
    tuning_goal_of,
    with_margins,
    write_operating_points,
)
from aebnas_bo.early_exit.exit_rule import ExitTable, evaluate_thresholds
from aebnas_bo.early_exit.threshold_tuning import TuningGoal
from aebnas_bo.errors import UsageError
from aebnas_bo.search.objectives import Objective
from aebnas_bo.search.trial import Observation
from aebnas_bo.space.macs import ExitCosts
from tests.made_trials import completed


def an_observation() -> Observation:
    return Observation(completed(0, "k", {}, {"accuracy": 90.0, "average_macs": 2.0}))


@pytest.mark.parametrize(
    ("text", "limit", "goal"),
    [
        ("knee", None, TuningGoal("max_macs", 2e6)),
        ("abcd", 1.5, TuningGoal("max_macs", 1.5e6)),
        ("macs<=3", None, TuningGoal("max_macs", 3e6)),
        ("macs<=3", 2.5, TuningGoal("max_macs", 2.5e6)),
        ("accuracy>=80", 2.5, TuningGoal("min_accuracy", 80.0)),
    ],
)
def test_thresholds_are_tuned_for_what_the_network_was_chosen_by(text, limit, goal) -> None:
    objectives = (Objective("accuracy", True, 10.0), Objective("average_macs", False, 5.0, limit=limit))
    assert tuning_goal_of(parse_selection(text), an_observation(), objectives) == goal


@pytest.mark.parametrize("rule", ["each", "cumulative"])
def test_margins_change_no_answer_and_keep_away_from_what_occurs(rule) -> None:
    generator = torch.Generator().manual_seed(0)
    table = ExitTable(
        torch.rand(3, 50, generator=generator), torch.rand(3, 50, generator=generator) < 0.7, (1, 2, 3), rule
    )
    costs = ExitCosts(1, (1, 1), 1, (0, 0), (0, 1), (0, 1))
    for thresholds in ((0.05, 1.0), tuple(float(row[7]) for row in table.certainty[:2]), (0.3, 0.6)):
        moved = with_margins(table, costs, thresholds)
        assert evaluate_thresholds(table, moved) == evaluate_thresholds(table, thresholds)
        gaps = (table.certainty[:2] - torch.tensor(moved)[:, None]).abs()
        assert float(gaps.min()) > 1e-6
    assert with_margins(table, costs, (None, 0.5))[0] is None


def test_margins_leave_the_end_of_a_network_where_it_is() -> None:
    confidence = torch.tensor([[0.2, 0.8], [0.4, 0.6], [1.0, 1.0]])
    table = ExitTable(confidence, torch.ones(3, 2).bool(), (1, 2, 3))
    costs = ExitCosts(1, (1, 1), 1, (0, 0), (0, 1), (0, 1))
    assert with_margins(table, costs, (0.8, 0.0)) == (pytest.approx(0.5), 0.0)
    assert with_margins(table, costs, (0.0, None)) == (0.0, None)


def test_margins_change_no_answer_where_certainties_are_neighbours_in_single_precision() -> None:
    costs = ExitCosts(10, (20,), 30, (1,), (0,), (0,))
    for low in torch.rand(20, generator=torch.Generator().manual_seed(0)):
        high = torch.nextafter(low, torch.tensor(1.0))
        certainty = torch.stack([torch.stack([low, high]), torch.ones(2)])
        table = ExitTable(certainty, torch.tensor([[False, True], [True, True]]), costs.cumulative)
        assert evaluate_thresholds(table, with_margins(table, costs, [float(high)])).accuracy == 100.0


def a_split(costs: ExitCosts, seed: int) -> MeasuredSplit:
    """Three outputs, the later the better, that know a little of when they are right."""
    generator = torch.Generator().manual_seed(seed)
    confidence = torch.rand(3, 400, generator=generator)
    is_correct = confidence + torch.tensor([[0.0], [0.2], [0.4]]) > torch.rand(3, 400, generator=generator)
    outputs = torch.nn.functional.one_hot((~is_correct).long(), 3).float()
    return MeasuredSplit(
        ExitTable(confidence, is_correct, costs.cumulative), torch.zeros(400).long(), list(outputs), "max_softmax"
    )


@pytest.mark.slow
def test_a_larger_budget_never_costs_accuracy_and_is_kept() -> None:
    costs = ExitCosts(1000, (4000, 5000), 300, (200, 100), (0, 2), (0, 1))
    points = operating_points(a_split(costs, 0), a_split(costs, 1), costs)
    assert len(points) == NUM_BUDGETS
    assert [round(points[index].budget * 1e6) for index in (0, -1)] == [5200, 10600]
    accuracies = [point.validation.accuracy for point in points]
    assert accuracies == sorted(accuracies)
    assert accuracies[-1] > accuracies[0]
    assert all(point.validation.average_macs <= point.budget + 1e-12 for point in points)
    assert any(point.test.accuracy != point.validation.accuracy for point in points)


@pytest.mark.slow
def test_a_tail_that_brings_nothing_is_in_no_point(tmp_path: Path) -> None:
    costs = ExitCosts(1000, (4000, 5000), 300, (200, 100), (0, 2), (0, 1))
    split = a_split(costs, 0)
    confidence, is_correct = split.table.confidence.clone(), split.table.is_correct.clone()
    is_correct[2] = is_correct[1]  # the final classifier is right where exit 3 is
    split = replace(split, table=ExitTable(confidence, is_correct, costs.cumulative))
    points = operating_points(split, split, costs)
    write_operating_points(tmp_path / "points.csv", points, costs)
    rows = list(csv.DictReader((tmp_path / "points.csv").open()))
    assert rows[-1]["exit3_threshold"] == "0.0"
    assert all("final" not in [output.name for output in point.test.outputs] for point in points)
    assert max(float(row["test_worst_case_macs"]) for row in rows) * 1e6 <= costs.cumulative[1]


def test_macs_that_gain_next_to_nothing_are_not_spent_if_they_have_a_price() -> None:
    costs = ExitCosts(1000, (4000, 5000), 300, (200,), (0,), (0,))
    is_hard = torch.arange(500) < 50
    confidence = torch.where(is_hard, 0.1, 0.9) + torch.arange(500) * 1e-4
    probability = torch.stack([torch.where(is_hard, 0.3, 0.95), torch.where(is_hard, 0.9, 0.9501)])
    is_correct = torch.ones(2, 500, dtype=torch.bool)
    table = ExitTable(torch.stack([confidence, confidence]), is_correct, costs.cumulative, "each", probability)
    whole = costs.cumulative[-1]
    [priced], [free] = (tuned_with_margins(table, costs, TuningGoal("max_macs", whole, price)) for price in (0.2, 0.0))
    assert priced is not None
    assert evaluate_thresholds(table, [priced]).exit_rates == (0.9, 0.1)
    assert free is None


def test_a_network_without_exits_has_one_point() -> None:
    costs = ExitCosts(1000, (4000,), 300, (), (), ())
    table = ExitTable(torch.rand(1, 20), torch.rand(1, 20) < 0.5, costs.cumulative)
    split = MeasuredSplit(table, torch.zeros(20).long(), [torch.zeros(20, 2)], "max_softmax")
    [point] = operating_points(split, split, costs)
    assert (point.budget, point.thresholds) == (0.0053, ())


@pytest.mark.slow
def test_the_file_names_exits_by_their_position_and_leaves_those_switched_off_empty(tmp_path: Path) -> None:
    costs = ExitCosts(1000, (4000, 5000), 300, (200, 100), (0, 2), (0, 1))
    first, *_, last = operating_points(a_split(costs, 0), a_split(costs, 1), costs)
    points = [replace(first, thresholds=(None, 0.25)), last]
    write_operating_points(tmp_path / "points.csv", points, costs)
    rows = list(csv.DictReader((tmp_path / "points.csv").open()))
    assert (rows[0]["exit1_threshold"], rows[0]["exit3_threshold"]) == ("", "0.25")
    assert [float(row["test_accuracy"]) for row in rows] == [first.test.accuracy, last.test.accuracy]
    assert [float(row["budget"]) for row in rows] == [first.budget, last.budget]


def test_a_goal_is_macs_or_accuracy() -> None:
    assert parse_goal("macs<=2.44") == TuningGoal("max_macs", 2.44e6)
    assert parse_goal("accuracy>=80") == TuningGoal("min_accuracy", 80.0)
    for text in ("knee", "latency<=2", "least"):
        with pytest.raises(UsageError, match=f"--tune-for {text}: expected macs<=X"):
            parse_goal(text)
    assert parse_goal("accuracy>=100").value == 100.0
    for text, reason in (
        ("accuracy>=200", "expected a percentage of at most 100"),
        ("macs<=0", "a finite number above 0"),
    ):
        with pytest.raises(UsageError, match=f"--tune-for {text}: .*{reason}"):
            parse_goal(text)
