import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from aebnas_bo.early_exit.exit_rule import ExitTable, ExitTableError, evaluate_thresholds
from aebnas_bo.early_exit.threshold_grid import evaluate_grid, spread_thresholds
from tests.declarations import ascending


def a_table(generator: torch.Generator, num_exits: int, num_images: int) -> ExitTable:
    confidence = (torch.rand(num_exits, num_images, generator=generator) * 5).round() / 5  # ties occur
    is_correct = torch.rand(num_exits, num_images, generator=generator) > 0.4
    macs = torch.randint(1, 1000, (num_exits,), generator=generator).sort().values
    return ExitTable(confidence, is_correct, tuple(macs.tolist()))


@st.composite
def tables_with_grids(draw: st.DrawFn) -> tuple[ExitTable, list[torch.Tensor]]:
    """Tables of up to four outputs, of either rule, with ties, and thresholds at and between their certainties."""
    num_outputs, num_images = draw(st.integers(1, 4)), draw(st.integers(1, 12))
    row = st.lists(st.tuples(st.integers(0, 5), st.booleans()), min_size=num_images, max_size=num_images)
    cells = torch.tensor([draw(row) for _ in range(num_outputs)])
    macs = tuple(sorted(draw(st.lists(st.integers(1, 1000), min_size=num_outputs, max_size=num_outputs))))
    table = ExitTable(cells[..., 0] / 5, cells[..., 1].bool(), macs, draw(st.sampled_from(["each", "cumulative"])))
    grids = []
    for certainty in table.certainty[:-1].tolist():
        values = st.one_of(st.sampled_from(certainty), st.floats(0.0, 1.0, width=32))
        grids.append(torch.tensor(draw(ascending(values)), dtype=torch.float64))
    return table, grids


@pytest.mark.slow
@given(tables_with_grids())
def test_a_grid_equals_its_settings_one_by_one(drawn: tuple[ExitTable, list[torch.Tensor]]) -> None:
    table, grids = drawn
    num_images = table.confidence.shape[1]
    outcome = evaluate_grid(table, grids)
    assert len(outcome.thresholds) == math.prod(map(len, grids))
    for setting, right, macs in zip(outcome.thresholds.tolist(), outcome.num_right, outcome.total_macs, strict=True):
        expected = evaluate_thresholds(table, setting)
        assert 100.0 * right / num_images == pytest.approx(expected.accuracy)
        assert macs / num_images == pytest.approx(expected.average_macs)


def test_hand_computed_grid() -> None:
    confidence = torch.tensor([[0.9, 0.4, 0.1], [1.0, 1.0, 1.0]])
    is_correct = torch.tensor([[True, False, False], [True, True, False]])
    outcome = evaluate_grid(ExitTable(confidence, is_correct, (10, 30)), [torch.tensor([0.0, 0.3, 0.5, 1.0])])
    assert outcome.num_right.tolist() == [1, 1, 2, 2]
    assert outcome.total_macs.tolist() == [30, 50, 70, 90]


@pytest.mark.parametrize(
    ("grids", "message"),
    [
        ([], "for each of 1 exits"),
        ([torch.tensor([])], "exit 1 must be ascending"),
        ([torch.tensor([0.5, 0.5])], "ascending"),
    ],
)
def test_bad_grids_are_refused(grids: list[torch.Tensor], message: str) -> None:
    table = a_table(torch.Generator().manual_seed(0), 2, 5)
    with pytest.raises(ExitTableError, match=message):
        evaluate_grid(table, grids)


def test_spread_settings_are_non_dominated_and_reach_both_ends() -> None:
    generator = torch.Generator().manual_seed(3)
    confidence = torch.rand(3, 400, generator=generator)
    sharpness = torch.tensor([[0.2], [0.5], [0.9]])  # later exits are right more often, and sure ones everywhere
    is_correct = torch.rand(3, 400, generator=generator) < 0.5 * (confidence + sharpness)
    table = ExitTable(confidence, is_correct, (10, 20, 50))
    settings = spread_thresholds(table, [(0.0, 1.0)] * 2, 5)
    outcomes = [evaluate_thresholds(table, setting) for setting in settings]
    costs, accuracies = [o.average_macs for o in outcomes], [o.accuracy for o in outcomes]
    assert 3 <= len(settings) <= 5
    assert costs == sorted(costs)
    assert accuracies == sorted(accuracies)
    assert costs[0] == 10.0
    grid = torch.linspace(0.0, 1.0, 12).tolist()
    everything = [evaluate_thresholds(table, (a, b)) for a in grid for b in grid]
    for chosen in outcomes:  # nothing of a coarse grid is clearly better
        assert not any(o.accuracy > chosen.accuracy + 0.5 and o.average_macs < chosen.average_macs for o in everything)


def test_the_upper_end_of_a_range_is_meant_exactly() -> None:
    certainty = torch.tensor([[0.1, 0.2, 0.3], [1.0, 1.0, 1.0]])  # all of it below 0.8, which no single number is
    table = ExitTable(certainty, torch.tensor([[False] * 3, [True] * 3]), (1, 2))
    assert max(setting[0] for setting in spread_thresholds(table, [(0.0, 0.8)], 8)) == 0.8


def test_spread_settings_keep_to_their_ranges() -> None:
    table = a_table(torch.Generator().manual_seed(1), 3, 60)
    for setting in spread_thresholds(table, [(0.3, 0.7), (0.5, 0.9)], 8):
        assert 0.3 <= setting[0] <= 0.7
        assert 0.5 <= setting[1] <= 0.9
    assert spread_thresholds(table, [(0.0, 1.0)] * 2, 0) == []
    assert spread_thresholds(a_table(torch.Generator().manual_seed(1), 1, 60), [], 3) == []
    with pytest.raises(ExitTableError, match="expected a range for each of 2 exits"):
        spread_thresholds(table, [(0.0, 1.0)], 3)
