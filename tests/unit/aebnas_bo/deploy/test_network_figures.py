import pytest
import torch

from aebnas_bo.deploy.network_figures import MeasuredSplit, figures_at, macs_without_passed, output_names
from aebnas_bo.early_exit.exit_rule import ExitTable
from aebnas_bo.space.macs import ExitCosts

COSTS = ExitCosts(1_000_000, (1_000_000, 2_000_000, 4_000_000), 500_000, (100_000, 200_000), (0, 2), (0, 1))


def a_split() -> MeasuredSplit:
    """Four images of class 0: exit 1 is right on one, exit 3 on three, the final classifier on all."""
    is_correct = torch.tensor([[1, 0, 0, 0], [1, 1, 1, 0], [1, 1, 1, 1]]).bool()
    confidence = torch.tensor([[0.9, 0.1, 0.1, 0.1], [0.8, 0.8, 0.2, 0.2], [1.0, 1.0, 1.0, 1.0]])
    table = ExitTable(confidence, is_correct, COSTS.cumulative)
    outputs = 50.0 * torch.nn.functional.one_hot((~is_correct).long(), 2)  # sure of every prediction
    return MeasuredSplit(table, torch.zeros(4).long(), list(outputs), "max_softmax")


def test_a_network_that_ends_at_an_exit_is_charged_and_judged_without_its_tail() -> None:
    found = figures_at(a_split(), COSTS, (0.5, 0.0))
    assert [(output.name, output.exit_rate) for output in found.outputs] == [("exit1", 0.25), ("exit3", 0.75)]
    assert found.accuracy == 75.0
    assert found.worst_case_macs == 4.3
    assert found.average_macs == pytest.approx((2.1 + 3 * 4.3) / 4)
    assert found.average_macs_without_passed == pytest.approx((2.1 + 3 * 4.2) / 4)
    assert found.outputs[-1].calibration_error == pytest.approx(25.0)  # sure of four, right on three
    assert found.by_class is not None
    assert found.by_class.correct == (3, 0)


def test_outputs_in_use_are_named_by_their_position() -> None:
    assert output_names(COSTS, (1, 2)) == ["exit3", "final"]
    assert output_names(COSTS, (0, 1)) == ["exit1", "exit3"]
    assert macs_without_passed(COSTS, (0, 2)) == (2_100_000, 8_500_000)
