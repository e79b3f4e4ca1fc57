import math

import pytest
import torch

from aebnas_bo.early_exit.confidence import confidence

LOGITS = torch.log(torch.tensor([[0.7, 0.2, 0.1], [0.4, 0.35, 0.25]]))


def test_score_margin_is_the_gap_of_the_two_best() -> None:
    assert confidence(LOGITS, "score_margin", 3).tolist() == pytest.approx([0.5, 0.05], abs=1e-6)


def test_max_softmax_is_the_best() -> None:
    assert confidence(LOGITS, "max_softmax", 3).tolist() == pytest.approx([0.7, 0.4], abs=1e-6)


def test_negative_entropy_is_the_share_of_what_is_known() -> None:
    even, sure = torch.zeros(1, 3), torch.tensor([[200.0, 0.0, 0.0]])
    assert confidence(torch.cat([even, sure]), "negative_entropy", 3).tolist() == pytest.approx([0.0, 1.0], abs=1e-6)
    entropy = -(0.7 * math.log(0.7) + 0.2 * math.log(0.2) + 0.1 * math.log(0.1))
    found = confidence(LOGITS, "negative_entropy", 3)[0].item()
    assert found == pytest.approx(1.0 - entropy / math.log(3), abs=1e-6)


def test_learned_confidence_is_the_sigmoid_of_its_own_logit() -> None:
    with_own = torch.cat([LOGITS, torch.tensor([[0.0], [2.0]])], dim=1)
    assert confidence(with_own, "learned", 3).tolist() == pytest.approx([0.5, 1 / (1 + math.exp(-2.0))])
    assert confidence(LOGITS, "learned", 3).tolist() == [1.0, 1.0]  # the final classifier has none


@pytest.mark.parametrize("name", ["score_margin", "max_softmax", "negative_entropy"])
def test_another_outputs_logit_does_not_matter(name) -> None:
    with_own = torch.cat([LOGITS, torch.tensor([[9.0], [-9.0]])], dim=1)
    assert torch.equal(confidence(with_own, name, 3), confidence(LOGITS, name, 3))
