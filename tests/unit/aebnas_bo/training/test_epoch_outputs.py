"""Loss and accuracy of each output of an epoch."""

import math

import pytest
import torch

from aebnas_bo.space.architecture import Architecture, Block, ExitBranch, Stage
from aebnas_bo.training import epoch_outputs
from aebnas_bo.training.epoch_outputs import OutputMeter

LINEAR = ExitBranch(())
STAGES = (Stage(4, (Block(3, 1),)),) * 3
EARLY, LATE = (Architecture(8, STAGES, exits) for exits in ((LINEAR, None), (None, LINEAR)))
SURE, EVEN = torch.tensor([[9.0, -9.0]]), torch.zeros(1, 2)


@pytest.mark.parametrize("most_pending", [0, 1_000_000])
def test_figures_are_means_over_the_networks_that_have_the_output(monkeypatch, most_pending: int) -> None:
    monkeypatch.setattr(epoch_outputs, "MOST_PENDING", most_pending)
    meter, first, second = OutputMeter(), torch.tensor([0]), torch.tensor([1])
    meter.add(LATE, [EVEN, SURE], first)
    meter.add(EARLY, [SURE, EVEN], second)
    meter.add(EARLY, [SURE, SURE], first)
    early, late, final = meter.figures()
    assert (early.name, late.name, final.name) == ("exit1", "exit2", "final")
    assert early.accuracy == 50.0
    assert early.loss == pytest.approx((18.0 + 0.0) / 2, abs=1e-6)
    assert late.loss == pytest.approx(math.log(2.0))
    assert final.accuracy == pytest.approx(100.0 * 2 / 3)  # of two equal logits the first is taken
    assert final.loss == pytest.approx(math.log(2.0) / 3, abs=1e-6)


def test_confidences_are_no_class_and_mixed_labels_have_a_likeliest_one() -> None:
    meter = OutputMeter()
    with_confidence = torch.tensor([[1.0, 0.0, 50.0]])
    meter.add(EARLY, [with_confidence, EVEN], torch.tensor([[0.7, 0.3]]))
    early, _ = meter.figures()
    assert early.accuracy == 100.0
    assert early.loss == pytest.approx(-(0.7 * math.log(math.e / (math.e + 1)) + 0.3 * math.log(1 / (math.e + 1))))


def test_without_outputs_there_are_no_figures() -> None:
    assert OutputMeter().figures() == ()
