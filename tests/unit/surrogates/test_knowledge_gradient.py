import math

import pytest
import torch

from surrogates.knowledge_gradient import expected_gain, values_of_trainings
from surrogates.two_fidelity import TwoFidelityGP

from .test_two_fidelity import LAYOUT, observed, rows, trained

STANDARD = 1.0 / math.sqrt(2.0 * math.pi)  # E[max(Z, 0)]


def test_two_lines_by_hand() -> None:
    assert expected_gain([0.0, 0.0], [0.0, 2.0]) == pytest.approx(2.0 * STANDARD)
    density, tail = math.exp(-0.5) * STANDARD, 0.5 * math.erfc(1.0 / math.sqrt(2.0))
    assert expected_gain([1.0, 0.0], [0.0, 1.0]) == pytest.approx(density - tail)
    assert expected_gain([1.0, 0.0], [3.0, 4.0]) == pytest.approx(density - tail)  # only differences count


def test_what_changes_no_order_is_worth_nothing() -> None:
    assert expected_gain([3.0], [5.0]) == 0.0
    assert expected_gain([1.0, 2.0, 0.0], [0.7, 0.7, 0.7]) == 0.0


def test_many_lines_as_by_sampling() -> None:
    generator = torch.Generator().manual_seed(0)
    z = torch.randn(400_000, generator=generator, dtype=torch.float64)
    for _ in range(5):
        means = torch.randn(7, generator=generator, dtype=torch.float64)
        effects = torch.randn(7, generator=generator, dtype=torch.float64)
        best = (means.unsqueeze(-1) + effects.unsqueeze(-1) * z).amax(dim=0)
        gain = expected_gain(means.tolist(), effects.tolist())
        assert gain == pytest.approx(float(best.mean() - means.max()), abs=0.01)


def test_a_training_lets_its_network_join_the_contenders() -> None:
    model, trained_ones, others = TwoFidelityGP(observed(num_trained=4), LAYOUT), rows(3, 7), rows(6, 8)
    values = values_of_trainings(model, trained_ones, others)
    generator = torch.Generator().manual_seed(0)
    z = torch.randn(400_000, generator=generator, dtype=torch.float64)
    for place, value in enumerate(values.tolist()):
        X = torch.cat([trained_ones, others[place : place + 1]])
        mean, covariance = model.predict(X, trained(4))
        spread = (covariance[3, 3] + model.noise_of(trained(1))[0]).sqrt()
        after = (mean.unsqueeze(-1) + (covariance[:, 3] / spread).unsqueeze(-1) * z).amax(dim=0).mean()
        assert value == pytest.approx(float(after - mean[:3].max()), abs=0.02)
    assert values.max() > 0.0


def test_without_trained_networks_the_best_prediction_is_worth_most() -> None:
    model, others = TwoFidelityGP(observed(num_trained=4), LAYOUT), rows(6, 8)
    values = values_of_trainings(model, others[:0], others)
    assert (values >= 0.0).all()
    assert values.argmax() == model.predict(others, trained(6))[0].argmax()
