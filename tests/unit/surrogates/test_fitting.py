import pytest
import torch
from botorch.fit import fit_gpytorch_mll
from gpytorch.mlls import ExactMarginalLogLikelihood

from surrogates.columns import Column, ColumnLayout
from surrogates.fitting import fit_surrogate
from surrogates.models import ArchitectureGP

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
    return ArchitectureGP(X, Y, LAYOUT, torch.full_like(Y, 1e-4) if has_noise else None)


def test_predictions_equal_those_of_botorchs_fit() -> None:
    ours, theirs, far = make(40), make(40), data(50, seed=1)[0]
    fit_surrogate(ours)
    fit_gpytorch_mll(ExactMarginalLogLikelihood(theirs.likelihood, theirs))
    assert torch.allclose(ours.posterior(far).mean, theirs.posterior(far).mean, atol=0.1)


@pytest.mark.parametrize("has_noise", [True, False])
def test_few_rows_fit_and_all_rows_predict(has_noise: bool) -> None:
    model, (X, Y) = make(120, has_noise), data(120)
    before = model.covar_module.base_kernel.lengthscale.detach().clone()
    fit_surrogate(model, max_rows=30)
    assert not torch.allclose(model.covar_module.base_kernel.lengthscale, before)
    assert (model.posterior(X).mean - Y).abs().max() < 1.0
    assert model.train_targets.shape[-1] == 120


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
