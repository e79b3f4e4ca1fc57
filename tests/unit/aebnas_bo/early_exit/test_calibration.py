import numpy as np
import pytest
import torch
from sklearn.metrics import log_loss

from aebnas_bo.early_exit.calibration import calibration_error, fit_temperature


def sampled(temperature: float, num_images: int = 4000):
    """Logits whose softmax at a temperature is the true distribution of the labels drawn."""
    generator = torch.Generator().manual_seed(0)
    true = 2.0 * torch.randn(num_images, 5, generator=generator)
    labels = torch.multinomial(true.softmax(dim=-1), 1, generator=generator).flatten()
    return true * temperature, labels


@pytest.mark.parametrize("temperature", [0.5, 1.0, 3.0])
def test_the_temperature_that_spoilt_probabilities_is_found(temperature: float) -> None:
    logits, labels = sampled(temperature)
    assert fit_temperature(logits, labels, name="max_softmax", num_classes=5) == pytest.approx(temperature, rel=0.06)


@pytest.mark.slow
def test_no_other_temperature_is_likelier() -> None:
    logits, labels = sampled(2.0, 500)
    found = fit_temperature(logits, labels, name="score_margin", num_classes=5)

    def loss(t: float) -> float:
        return log_loss(labels.numpy(), (logits.double() / t).softmax(dim=-1).numpy())

    assert loss(found) <= min(map(loss, np.geomspace(0.1, 10.0, 400))) + 1e-6


def test_scaling_lowers_the_error_and_leaves_answers_alone() -> None:
    logits, labels = sampled(4.0)
    fresh, answers = logits[2000:], labels[2000:]
    scaled = fresh / fit_temperature(logits[:2000], labels[:2000], name="max_softmax", num_classes=5)
    before, after = (calibration_error(one, answers, name="max_softmax", num_classes=5) for one in (fresh, scaled))
    assert before > 15.0
    assert after < 4.0
    assert torch.equal(scaled.argmax(dim=-1), fresh.argmax(dim=-1))


def test_hand_computed_error() -> None:
    # Two images at 0.95 sure, one right; two at 0.55, both right.
    def sure(p: float) -> list[float]:
        return torch.tensor([p, 1.0 - p]).log().tolist()

    logits = torch.tensor([sure(0.95), sure(0.95), sure(0.55), sure(0.55)])
    labels = torch.tensor([0, 1, 0, 0])
    assert calibration_error(logits, labels, name="max_softmax", num_classes=2) == pytest.approx(
        100.0 * (0.9 + 0.9) / 4, abs=1e-4
    )


def test_a_learned_confidence_is_calibrated_itself() -> None:
    generator = torch.Generator().manual_seed(1)
    doubt = torch.randn(4000, generator=generator)
    is_right = torch.rand(4000, generator=generator) < doubt.sigmoid()
    classes = torch.tensor([[5.0, -5.0]]).repeat(4000, 1)
    labels = torch.where(is_right, 0, 1)
    logits = torch.cat([classes, 3.0 * doubt[:, None]], dim=1)
    assert fit_temperature(logits, labels, name="learned", num_classes=2) == pytest.approx(3.0, rel=0.1)
    assert (
        calibration_error(logits, labels, name="learned", num_classes=2)
        > calibration_error(logits / 3.0, labels, name="learned", num_classes=2) + 5.0
    )


def test_answers_that_are_all_right_are_left_alone() -> None:
    assert (
        fit_temperature(torch.tensor([[9.0, 0.0], [0.0, 9.0]]), torch.tensor([0, 1]), name="max_softmax", num_classes=2)
        == 1.0
    )
