import itertools
import math
from dataclasses import replace

import pytest
import torch

from aebnas_bo.early_exit import threshold_tuning
from aebnas_bo.early_exit.exit_rule import ExitTable, ExitTableError
from aebnas_bo.early_exit.threshold_tuning import TARGET_WEIGHT, TuningGoal, pareto_thresholds, tune_thresholds

GOALS = [TuningGoal("target_macs", 12.0), TuningGoal("max_macs", 15.0), TuningGoal("min_accuracy", 60.0)]


def make_case(seed: int, num_images: int, num_exits: int, rule="each"):
    generator = torch.Generator().manual_seed(seed)
    # Few distinct confidences, so that there are ties; in half the cases none is 1, so that 1 can keep everybody.
    confidence = torch.randint(0, 7 - seed % 2, (num_exits + 1, num_images), generator=generator) / 6.0
    is_correct = torch.rand(num_exits + 1, num_images, generator=generator) < 0.3 + 0.6 * confidence
    backbone = tuple(torch.randint(1, 9, (num_exits + 1,), generator=generator).cumsum(0).tolist())
    branches = tuple(torch.randint(0, 4, (num_exits,), generator=generator).tolist())
    macs = [backbone[k] + sum(branches[: k + 1]) for k in range(num_exits + 1)]
    return ExitTable(confidence, is_correct, tuple(macs), rule), backbone, branches


def image_by_image(table: ExitTable, backbone, branches, thresholds) -> tuple[float, float]:
    """Run every image through an early-exiting network that counts what it executes."""
    num_images, right, total = table.confidence.shape[1], 0, 0
    for image in range(num_images):
        paid, doubt = 0, torch.ones(())
        for k, threshold in enumerate((*thresholds, None)):
            if k == len(thresholds):
                break
            if threshold is None:
                continue
            paid += branches[k]
            doubt = doubt * (1.0 - table.confidence[k, image])
            if (table.confidence[k, image] if table.rule == "each" else 1.0 - doubt) >= threshold:
                break
        right += bool(table.is_correct[k, image])
        total += backbone[k] + paid
    return 100.0 * right / num_images, total / num_images


def brute_force(table, backbone, branches, may_switch_off: bool) -> set[tuple[float, float]]:
    off = [None] if may_switch_off else []
    # What certainties can occur depends on the exits that are kept; every second row may be missing.
    kept = [table.certainty[:-1]]
    if may_switch_off and len(table.macs) > 2:
        kept += [ExitTable(table.confidence[1:], table.is_correct[1:], table.macs[1:], table.rule).certainty[:-1]]
        kept[-1] = torch.cat([kept[-1][:1], kept[-1]])
    columns = [torch.cat([rows[k] for rows in kept]).unique().tolist() for k in range(len(table.macs) - 1)]
    values = [[*column, 1.0, *off] for column in columns]
    found = {image_by_image(table, backbone, branches, setting) for setting in itertools.product(*values)}
    return {
        one for one in found if not any(o != one and o[0] >= one[0] and o[1] <= one[1] for o in found)
    }  # fmt: skip


@pytest.mark.parametrize("rule", ["each", "cumulative"])
@pytest.mark.parametrize("seed", range(72))  # every combination of images, exits and switching off twice
def test_front_equals_brute_force(seed: int, rule) -> None:
    table, backbone, branches = make_case(seed, num_images=6 + seed % 9, num_exits=seed % 3, rule=rule)
    front = pareto_thresholds(table, backbone=backbone, branches=branches, may_switch_off=seed % 4 != 3)
    expected = brute_force(table, backbone, branches, may_switch_off=seed % 4 != 3)
    assert {(one.accuracy, one.average_macs) for one in front} == expected
    assert [one.average_macs for one in front] == sorted(one.average_macs for one in front)
    for one in front:
        assert image_by_image(table, backbone, branches, one.thresholds) == (one.accuracy, one.average_macs)


@pytest.fixture
def without_tolerance(monkeypatch) -> None:
    monkeypatch.setattr(threshold_tuning, "TAIL_STANDARD_ERRORS", 0.0)


@pytest.mark.usefixtures("without_tolerance")
@pytest.mark.parametrize("goal", GOALS, ids=lambda goal: goal.kind)
def test_tuned_thresholds_are_the_best_of_the_front(goal: TuningGoal) -> None:
    for seed in range(20):
        table, backbone, branches = make_case(seed, num_images=40, num_exits=2)
        front = pareto_thresholds(table, backbone=backbone, branches=branches)
        tuned = tune_thresholds(table, backbone=backbone, branches=branches, goal=goal)
        if goal.kind == "target_macs":

            def score(one) -> float:
                return one.accuracy - TARGET_WEIGHT * 100.0 * max(one.average_macs - 12.0, 0.0) / 12.0

            assert score(tuned) == pytest.approx(max(map(score, front)))
        elif goal.kind == "max_macs":
            met = [one for one in front if one.average_macs <= 15.0]
            assert outcome(tuned) == outcome((met[-1:] or front[:1])[0])
        else:
            met = [one for one in front if one.accuracy >= 60.0]
            assert outcome(tuned) == outcome((met[:1] or front[-1:])[0])


@pytest.mark.usefixtures("without_tolerance")
@pytest.mark.parametrize("price", [20.0, 50.0])
def test_macs_with_a_price_are_spent_where_they_gain_more_than_it(price: float) -> None:
    num_saving = 0
    for seed in range(20):
        table, backbone, branches = make_case(seed, num_images=40, num_exits=2)
        front = pareto_thresholds(table, backbone=backbone, branches=branches)
        goal = TuningGoal("max_macs", 15.0, price)
        tuned = tune_thresholds(table, backbone=backbone, branches=branches, goal=goal)
        able = [one for one in front if one.average_macs <= 15.0] or front[:1]
        best = max(able, key=lambda one: one.accuracy - price * math.log(one.average_macs))
        assert outcome(tuned) == outcome(best)
        num_saving += best != able[-1]
    assert num_saving > 5


@pytest.mark.usefixtures("without_tolerance")
@pytest.mark.parametrize("goal", GOALS, ids=lambda goal: goal.kind)
def test_what_is_too_large_to_try_is_at_least_as_good_as_a_grid(goal: TuningGoal, monkeypatch) -> None:
    monkeypatch.setattr(threshold_tuning, "MOST_EXACT", 10)
    monkeypatch.setattr(threshold_tuning, "MOST_COARSE", 16)
    grid = (0.2, 0.5, 0.8)
    for seed in range(8):
        table, backbone, branches = make_case(seed, num_images=60, num_exits=2)
        tuned = tune_thresholds(table, backbone=backbone, branches=branches, goal=goal, grid=grid)
        settings = itertools.product((*grid, None), repeat=2)
        best = max(scores(goal, *image_by_image(table, backbone, branches, setting)) for setting in settings)
        assert scores(goal, tuned.accuracy, tuned.average_macs) >= best


@pytest.mark.usefixtures("without_tolerance")
@pytest.mark.parametrize(
    ("goal", "seed", "num_images"),
    [(GOALS[0], 3, 200), (GOALS[0], 68, 40), (GOALS[1], 0, 40), (GOALS[1], 59, 40), (GOALS[2], 29, 40),
     (GOALS[2], 89, 40)],
    ids=str,
)  # fmt: skip
def test_networks_that_come_fourth_in_the_coarse_pass_are_refined_too(goal, seed, num_images, monkeypatch) -> None:
    """In each of these cases the fourth of the coarse pass is the best in the end."""
    table, backbone, branches = make_case(seed, num_images, num_exits=2)
    costs = {"backbone": backbone, "branches": branches}
    exact = tune_thresholds(table, **costs, goal=goal)
    monkeypatch.setattr(threshold_tuning, "MOST_EXACT", 10)
    monkeypatch.setattr(threshold_tuning, "MOST_COARSE", 4)
    assert outcome(tune_thresholds(table, **costs, goal=goal)) == outcome(exact)


def scores(goal: TuningGoal, accuracy: float, macs: float) -> tuple[float, float]:
    first, second = goal.scores(
        torch.tensor([accuracy], dtype=torch.float64), torch.tensor([macs], dtype=torch.float64)
    )
    return first.item(), second.item()


def test_a_cheaper_network_is_never_punished() -> None:
    goal = TuningGoal("target_macs", 10.0)
    assert scores(goal, 70.0, 2.0)[0] == scores(goal, 70.0, 10.0)[0] == 70.0
    assert scores(goal, 70.0, 11.0)[0] == pytest.approx(69.0)


def test_an_exit_nobody_leaves_may_still_add_to_the_certainty_of_later_ones() -> None:
    confidence = torch.tensor([[0.9, 0.1], [0.2, 0.3], [1.0, 1.0]])
    is_correct = torch.tensor([[False, False], [True, False], [True, True]])
    table = ExitTable(confidence, is_correct, (11, 22, 102), "cumulative")
    tuned = tune_thresholds(table, backbone=(10, 20, 100), branches=(1, 1), goal=TuningGoal("min_accuracy", 100.0))
    assert (tuned.thresholds[0], tuned.accuracy, tuned.average_macs) == (1.0, 100.0, 62.0)


def test_a_useless_exit_is_switched_off() -> None:
    confidence = torch.tensor([[0.9, 0.8, 0.7], [1.0, 1.0, 1.0]])
    is_correct = torch.tensor([[False, False, False], [True, True, True]])
    table = ExitTable(confidence, is_correct, (6, 12))
    tuned = tune_thresholds(table, backbone=(4, 10), branches=(2,), goal=TuningGoal("min_accuracy", 100.0))
    assert (tuned.thresholds, tuned.average_macs) == ((None,), 10.0)
    kept = tune_thresholds(
        table, backbone=(4, 10), branches=(2,), goal=TuningGoal("min_accuracy", 100.0), may_switch_off=False
    )
    assert (kept.thresholds, kept.average_macs) == ((1.0,), 12.0)


def exit_and_tail(right_at_exit: list[int], right_at_end: list[int]) -> ExitTable:
    """An exit that is equally sure of all images, so that all of them leave there or none."""
    is_correct = torch.tensor([right_at_exit, right_at_end]).bool()
    return ExitTable(torch.full(is_correct.shape, 0.5), is_correct, (6, 14))


def won_and_lost(won: int, lost: int) -> ExitTable:
    """The tail is right on `won` images that the exit is wrong on, wrong on `lost` others; 100 images."""
    both = [1] * (100 - won - lost)
    return exit_and_tail([0] * won + [1] * lost + both, [1] * won + [0] * lost + both)


@pytest.mark.parametrize("most_exact", [threshold_tuning.MOST_EXACT, 0])
@pytest.mark.parametrize("goal", GOALS, ids=lambda goal: goal.kind)
def test_a_tail_that_is_no_better_is_dropped(goal: TuningGoal, most_exact, monkeypatch) -> None:
    monkeypatch.setattr(threshold_tuning, "MOST_EXACT", most_exact)
    tuned = tune_thresholds(exit_and_tail([1, 1, 0, 0], [1, 0, 1, 0]), backbone=(4, 12), branches=(2,), goal=goal)
    assert (tuned.thresholds, tuned.accuracy, tuned.average_macs) == ((0.0,), 50.0, 6.0)


def test_a_tail_is_dropped_whose_gain_is_at_most_half_a_standard_error() -> None:
    goal = TuningGoal("max_macs", 100.0)
    # 10 images won and 8 lost: 2 points, half a standard error is 2.11; 11 and 8: 3 points against 2.16
    dropped = tune_thresholds(won_and_lost(10, 8), backbone=(4, 12), branches=(2,), goal=goal)
    assert (dropped.thresholds, dropped.accuracy, dropped.average_macs) == ((0.0,), 90.0, 6.0)
    kept = tune_thresholds(won_and_lost(11, 8), backbone=(4, 12), branches=(2,), goal=goal)
    assert (kept.thresholds, kept.accuracy, kept.average_macs) == ((None,), 92.0, 12.0)
    # a single image won and none lost is more than half a standard error
    assert tune_thresholds(won_and_lost(1, 0), backbone=(4, 12), branches=(2,), goal=goal).thresholds == (None,)


def test_an_accuracy_that_is_met_stays_met_when_a_tail_might_be_dropped() -> None:
    table = won_and_lost(10, 8)
    assert tune_thresholds(
        table, backbone=(4, 12), branches=(2,), goal=TuningGoal("min_accuracy", 91.0)
    ).thresholds == (None,)
    assert tune_thresholds(
        table, backbone=(4, 12), branches=(2,), goal=TuningGoal("min_accuracy", 90.0)
    ).thresholds == (0.0,)


def test_a_tail_is_dropped_only_where_that_costs_no_more() -> None:
    table = exit_and_tail([1, 0], [1, 0])  # a branch that costs more than the tail
    goal = TuningGoal("max_macs", 100.0)
    assert tune_thresholds(table, backbone=(4, 12), branches=(10,), goal=goal).thresholds == (None,)


def test_a_network_may_end_at_a_later_exit_with_earlier_ones_on_or_off() -> None:
    confidence = torch.tensor([[0.9, 0.1, 0.1, 0.1], [0.5, 0.5, 0.5, 0.5], [1.0, 1.0, 1.0, 1.0]])
    is_correct = torch.tensor([[1, 0, 0, 0], [1, 1, 1, 0], [1, 1, 1, 0]]).bool()
    table = ExitTable(confidence, is_correct, (11, 22, 103))
    tuned = tune_thresholds(table, backbone=(10, 20, 100), branches=(1, 1), goal=TuningGoal("max_macs", 200.0))
    assert tuned.thresholds == (pytest.approx(0.9), 0.0)
    assert tuned.average_macs == (11 + 3 * 22) / 4
    off = tune_thresholds(table, backbone=(10, 20, 100), branches=(9, 1), goal=TuningGoal("max_macs", 200.0))
    assert (off.thresholds, off.average_macs) == ((None, 0.0), 21.0)


@pytest.mark.parametrize("rule", ["each", "cumulative"])
def test_a_network_whose_exits_stay_on_keeps_its_tail(rule) -> None:
    table = replace(exit_and_tail([1, 1, 0, 0], [1, 1, 0, 0]), rule=rule)
    goal = TuningGoal("max_macs", 100.0)
    assert tune_thresholds(table, backbone=(4, 12), branches=(2,), goal=goal).thresholds == (0.0,)
    assert tune_thresholds(table, backbone=(4, 12), branches=(2,), goal=goal, may_switch_off=False).thresholds == (0.5,)


def test_of_equal_settings_the_cheaper_worst_case_wins() -> None:
    # leaving one image at each exit costs 9 and 15, the final classifier alone 12; all are right either way
    confidence = torch.tensor([[0.9, 0.1], [0.5, 0.5], [1.0, 1.0]])
    table = ExitTable(confidence, torch.tensor([[1, 0], [0, 1], [1, 1]]).bool(), (9, 15, 21))
    costs = {"backbone": (4, 6, 12), "branches": (5, 4)}
    tuned = tune_thresholds(table, **costs, goal=TuningGoal("max_macs", 100.0))
    assert (tuned.thresholds, tuned.accuracy, tuned.average_macs) == ((None, None), 100.0, 12.0)
    assert pareto_thresholds(table, **costs)[-1] == tuned


def test_of_equal_points_of_the_front_the_cheaper_worst_case_is_kept() -> None:
    [point] = pareto_thresholds(exit_and_tail([1, 1, 0, 0], [1, 1, 0, 0]), backbone=(4, 12), branches=(2,))
    assert point.thresholds == (0.0,)


def test_too_many_combinations_and_wrong_costs_are_named(monkeypatch) -> None:
    table, backbone, branches = make_case(0, num_images=30, num_exits=2)
    with pytest.raises(ExitTableError, match="3 outputs needs as many backbone costs and 2 of branches, got 2 and 2"):
        pareto_thresholds(table, backbone=backbone[:2], branches=branches)
    monkeypatch.setattr(threshold_tuning, "MOST_EXACT", 3)
    with pytest.raises(ExitTableError, match="more than 3 combinations"):
        pareto_thresholds(table, backbone=backbone, branches=branches)


def outcome(tuned) -> tuple[float, float]:
    return tuned.accuracy, tuned.average_macs
