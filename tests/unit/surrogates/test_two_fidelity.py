import math

import pytest
import torch

from surrogates.columns import Column, ColumnLayout
from surrogates.errors import LayoutError, SurrogateError
from surrogates.two_fidelity import Accuracies, TwoFidelityGP

LAYOUT = ColumnLayout(tuple(Column(name, name, 0, 4, is_discrete=True) for name in ("depth", "width", "kernel")))
NOISE = 0.05


def percent(latent: torch.Tensor) -> torch.Tensor:
    return 100.0 * torch.sigmoid(latent)


def estimate_of(X: torch.Tensor) -> torch.Tensor:
    return 0.5 * X[:, 0] + 0.3 * torch.sin(2.0 * X[:, 1])


def trained_of(X: torch.Tensor, factor: float = 1.0) -> torch.Tensor:
    """Trainings agree with estimates but for a constant, and wide kernels are underestimated."""
    return factor * estimate_of(X) + 1.0 + 0.2 * X[:, 2]


def rows(count: int, seed: int) -> torch.Tensor:
    return LAYOUT.sample(count, torch.Generator().manual_seed(seed))


def observed(num_trained: int, factor: float = 1.0, num_estimates: int = 40) -> Accuracies:
    estimates, trainings = rows(num_estimates, 1), rows(num_trained, 2)
    mean = torch.cat([percent(estimate_of(estimates)), percent(trained_of(trainings, factor))])
    kinds = torch.arange(len(mean)) >= num_estimates
    return Accuracies(torch.cat([estimates, trainings]), kinds, mean, torch.full_like(mean, NOISE))


def trained(count: int) -> torch.Tensor:
    return torch.ones(count, dtype=torch.bool)


@pytest.mark.slow
def test_few_trainings_and_many_estimates_predict_trainings_better_than_either() -> None:
    X = rows(60, 3)
    truth = percent(trained_of(X))
    whole = observed(num_trained=10)
    few = Accuracies(*(part[-12:] for part in (whole.X, torch.arange(50) >= 40, whole.mean, whole.variance)))
    error_whole, error_few = (
        (TwoFidelityGP(data, LAYOUT).fit().predict_percent(X, trained(len(X)))[0] - truth).square().mean().sqrt()
        for data in (whole, few)
    )
    estimates = percent(estimate_of(X))
    assert error_whole < 0.5 * error_few
    assert error_whole < 0.3 * (estimates - truth).square().mean().sqrt()


@pytest.mark.slow
def test_the_correlation_is_learned() -> None:
    agreeing, opposed = (TwoFidelityGP(observed(20, factor), LAYOUT).fit().correlation for factor in (1.0, 0.0))
    assert agreeing > 0.85
    assert abs(opposed) < 0.5
    assert TwoFidelityGP(observed(20, 0.0), LAYOUT).correlation > 0.8  # the prior


@pytest.mark.slow
def test_intervals_cover_trainings() -> None:
    X = rows(80, 4)
    truth = percent(trained_of(X))
    median, lower, upper = TwoFidelityGP(observed(12), LAYOUT).fit().predict_percent(X, trained(len(X)))
    assert ((lower <= truth) & (truth <= upper)).double().mean() > 0.85
    assert ((lower < median) & (median < upper)).all()
    assert (lower >= 0.0).all()
    assert (upper <= 100.0).all()


def test_an_unfitted_model_has_the_posterior_of_the_stated_covariance() -> None:
    data = observed(num_trained=1, num_estimates=2)
    model = TwoFidelityGP(data, LAYOUT)
    shared = 9.0 + model.estimate_kernel(model._inputs.features).to_dense()
    difference = 9.0 + math.exp(-1.5) * model.difference_kernel(model._inputs.features).to_dense()
    is_trained = data.is_trained.double()
    covariance = (shared + torch.outer(is_trained, is_trained) * difference).detach()
    targets = torch.logit(1e-3 + 0.998 * data.mean / 100.0)
    targets = (targets - targets[:2].mean()) / targets[:2].std(correction=0)
    with torch.no_grad():
        model.log_estimate_noise.fill_(-2.0)
    model._condition()
    noisy = covariance + torch.diag(model._variance + torch.where(data.is_trained, math.exp(-3.0), math.exp(-2.0)))
    mean, variances = model.predict(data.X, data.is_trained)
    inverse = torch.linalg.inv(noisy)
    assert torch.allclose(mean, covariance @ inverse @ targets, atol=1e-6)
    assert torch.allclose(variances, covariance - covariance @ inverse @ covariance, atol=1e-6)


def test_a_noisy_accuracy_counts_less() -> None:
    data = observed(num_trained=2, num_estimates=6)
    noisy = Accuracies(data.X, data.is_trained, data.mean, 100.0 * data.variance)
    certain, uncertain = (TwoFidelityGP(one, LAYOUT).predict(data.X, data.is_trained)[1] for one in (data, noisy))
    assert (uncertain.diagonal() > certain.diagonal()).all()


@pytest.mark.slow
def test_noise_of_estimates_that_no_image_explains_is_learned() -> None:
    data = observed(num_trained=6)
    noise = 6.0 * torch.randn(len(data.mean), generator=torch.Generator().manual_seed(5), dtype=torch.float64)
    scattered = Accuracies(data.X, data.is_trained, data.mean + torch.where(data.is_trained, 0.0, noise), data.variance)
    smooth, rough = (TwoFidelityGP(one, LAYOUT).fit() for one in (data, scattered))
    assert rough.log_estimate_noise > smooth.log_estimate_noise + 1.0
    assert rough.noise_of(trained(1))[0] < rough.noise_of(~trained(1))[0]


def test_a_fit_stays_where_it_cannot_overflow() -> None:
    model = TwoFidelityGP(observed(num_trained=2, num_estimates=6), LAYOUT)
    bounds = model._bounds()
    assert set(bounds) == {name for name, _ in model.named_parameters()}
    assert bounds["log_difference_scale"] == (-6.5, 3.5)
    assert bounds["estimate_kernel.raw_lengthscale"] == pytest.approx((math.log(0.05), math.log(1e4)))


def test_other_observations_keep_hyper_parameters_and_scale() -> None:
    first, more = observed(num_trained=2, num_estimates=6), observed(num_trained=3, num_estimates=9)
    model = TwoFidelityGP(first, LAYOUT)
    with torch.no_grad():
        model.factor.fill_(0.4)
    other = model.with_observed(more)
    assert other.factor.item() == pytest.approx(0.4)
    assert other._scale == model._scale
    fresh = TwoFidelityGP(more, LAYOUT, model._scale)
    with torch.no_grad():
        fresh.factor.fill_(0.4)
    fresh._condition()
    for one, same in zip(other.predict(more.X, more.is_trained), fresh.predict(more.X, more.is_trained), strict=True):
        assert torch.allclose(one, same)


def test_what_does_not_fit_together_is_refused() -> None:
    data = observed(num_trained=2)
    with pytest.raises(SurrogateError, match="a kind, a mean and a variance for each of 42 rows"):
        Accuracies(data.X, data.is_trained[:-1], data.mean, data.variance)
    with pytest.raises(SurrogateError, match="at least 2 estimates, got 0"):
        Accuracies(data.X, trained(42), data.mean, data.variance)
    with pytest.raises(LayoutError, match="the layout has 3 columns, X 2"):
        TwoFidelityGP(Accuracies(data.X[:, :2], data.is_trained, data.mean, data.variance), LAYOUT)
