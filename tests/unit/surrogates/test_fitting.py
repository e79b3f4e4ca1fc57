import pytest
import torch
from botorch.fit import fit_gpytorch_mll
from botorch.optim.closures import get_loss_closure_with_grads
from botorch.optim.utils import get_parameters
from gpytorch.mlls import ExactMarginalLogLikelihood

from surrogates import fitting
from surrogates.columns import Column, ColumnLayout
from surrogates.fitting import FitMemory, fit_surrogate
from surrogates.models import ALWAYS_FITTED, ArchitectureGP, rows_to_fit

LAYOUT = ColumnLayout(
    (
        Column("depth", "exit", 0, 2, is_discrete=True),
        Column("width", "stage", 0, 3, is_discrete=True),
        Column("threshold", "exit_threshold", 0.0, 1.0, False, inactive_value=1.0, parent=0, parent_levels=(1, 2)),
    )
)


def data(n: int, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    X = LAYOUT.sample(n, torch.Generator().manual_seed(seed))
    return X, torch.stack([60.0 + 5.0 * torch.sin(X[:, 1]) + 9.0 * X[:, 2], X[:, 0] - X[:, 1]], dim=-1)


def make(n: int, has_noise: bool = True) -> ArchitectureGP:
    X, Y = data(n)
    return ArchitectureGP(X, Y, LAYOUT, train_Yvar=torch.full_like(Y, 1e-4) if has_noise else None)


@pytest.mark.slow
def test_predictions_equal_those_of_botorchs_fit() -> None:
    ours, theirs, far = make(40), make(40), data(50, seed=1)[0]
    fit_surrogate(ours)
    fit_gpytorch_mll(ExactMarginalLogLikelihood(theirs.likelihood, theirs))
    assert torch.allclose(ours.posterior(far).mean, theirs.posterior(far).mean, atol=0.1)


@pytest.mark.slow
@pytest.mark.parametrize("has_noise", [True, False])
def test_few_rows_fit_and_all_rows_predict(has_noise: bool) -> None:
    model, (X, Y) = make(120, has_noise), data(120)
    before = model.covar_module.base_kernel.lengthscale.detach().clone()
    fit_surrogate(model, max_rows=30)
    assert not torch.allclose(model.covar_module.base_kernel.lengthscale, before)
    assert (model.posterior(X).mean - Y).abs().max() < 1.0
    assert model.train_targets.shape[-1] == 120


@pytest.mark.parametrize(("n", "max_rows", "rows"), [(10, 4, [0, 3, 6, 9]), (9, 5, [0, 2, 4, 6, 8]), (3, 8, [0, 1, 2])])
def test_fitted_rows_are_spread_over_all_observations(n, max_rows, rows, monkeypatch) -> None:
    fitted = []
    monkeypatch.setattr(fitting, "fit_gpytorch_mll", lambda likelihood, **_: fitted.append(likelihood.model))
    model, (X, _) = make(n), data(n)
    fit_surrogate(model, max_rows=max_rows)
    [bare] = fitted
    assert torch.equal(bare.train_inputs[0][0], model.input_transform(X[rows]))
    assert torch.equal(bare.train_targets, model.train_targets[:, rows])


@pytest.mark.slow
def test_fits_are_reproducible() -> None:
    states = []
    for _ in range(2):
        model = make(60)
        fit_surrogate(model, max_rows=20)
        states.append(model.state_dict())
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])


def test_a_single_observation_is_no_obstacle() -> None:
    model = make(1)
    fit_surrogate(model)
    assert torch.isfinite(model.posterior(data(5)[0]).mean).all()


def test_refits_happen_when_rows_have_grown() -> None:
    counts = [rows_to_fit(n) for n in range(1, 500)]
    assert counts[:ALWAYS_FITTED] == list(range(1, ALWAYS_FITTED + 1))
    assert counts == sorted(counts)
    assert all(0.9 * n < count <= n for n, count in enumerate(counts, start=1))
    assert len(set(counts[99:])) < 40


@pytest.mark.slow
def test_a_remembered_fit_is_the_fit(monkeypatch) -> None:
    memory, fresh = FitMemory(), make(101)
    fit_surrogate(make(100), memory)
    assert rows_to_fit(100) == rows_to_fit(101)
    fit_surrogate(fresh)
    monkeypatch.setattr("surrogates.fitting.fit_gpytorch_mll", None)  # a second fit would fail
    recalled = make(101)
    fit_surrogate(recalled, memory)
    assert torch.equal(recalled.covar_module.base_kernel.lengthscale, fresh.covar_module.base_kernel.lengthscale)
    assert torch.equal(recalled.posterior(data(5)[0]).mean, fresh.posterior(data(5)[0]).mean)


@pytest.mark.slow
def test_other_rows_are_not_taken_for_remembered_ones() -> None:
    memory = FitMemory()
    fit_surrogate(make(40), memory)
    X, Y = data(40, seed=1)
    other, alone = (ArchitectureGP(X, Y, LAYOUT, train_Yvar=torch.full_like(Y, 1e-4)) for _ in range(2))
    fit_surrogate(other, memory)
    fit_surrogate(alone)
    assert torch.equal(other.covar_module.base_kernel.lengthscale, alone.covar_module.base_kernel.lengthscale)


@pytest.mark.slow
def test_a_model_left_behind_lets_go_of_what_it_cached() -> None:
    memory, first, second = FitMemory(), make(40), make(41)
    fit_surrogate(first, memory)
    expected = first.posterior(data(5)[0]).mean
    assert first.prediction_strategy is not None
    fit_surrogate(second, memory)
    assert first.prediction_strategy is None
    assert torch.allclose(first.posterior(data(5)[0]).mean, expected)  # computed again where it is still asked


@pytest.mark.parametrize("has_noise", [True, False])
def test_the_loss_is_botorchs(has_noise: bool, monkeypatch) -> None:
    fits = []
    monkeypatch.setattr(fitting, "fit_gpytorch_mll", lambda one, closure, **_: fits.append((one, closure)))
    fit_surrogate(make(12, has_noise))
    [(likelihood, ours)] = fits
    theirs = get_loss_closure_with_grads(likelihood, get_parameters(likelihood, requires_grad=True))
    (our_loss, our_gradients), (loss, gradients) = ours(), theirs()
    assert our_loss.item() == pytest.approx(loss.item(), rel=1e-9)
    assert len(our_gradients) == len(gradients)
    assert all(torch.allclose(one, other, atol=1e-7) for one, other in zip(our_gradients, gradients, strict=True))
