import pytest
import torch

from aebnas_bo.early_exit.confidence import confidence

LOGITS = torch.log(torch.tensor([[0.7, 0.2, 0.1], [0.4, 0.35, 0.25]]))


def test_score_margin_is_the_gap_of_the_two_best() -> None:
    assert confidence(LOGITS, "score_margin").tolist() == pytest.approx([0.5, 0.05], abs=1e-6)


def test_max_softmax_is_the_best() -> None:
    assert confidence(LOGITS, "max_softmax").tolist() == pytest.approx([0.7, 0.4], abs=1e-6)
