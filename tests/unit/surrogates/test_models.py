import pytest
import torch
from botorch.fit import fit_gpytorch_mll
from botorch.utils.datasets import SupervisedDataset
from gpytorch.mlls import ExactMarginalLogLikelihood

from surrogates.columns import Column, ColumnLayout
from surrogates.errors import LayoutError
from surrogates.models import ArchitectureGP

LAYOUT = ColumnLayout(
    (
        Column("depth", "exit", 0, 2, is_discrete=True),
        Column("width", "stage", 0, 3, is_discrete=True),
        Column("threshold", "thresholds", 0.0, 1.0, False, inactive_value=1.0, parent=0, parent_levels=(1, 2)),
    )
)


def make_data(n: int = 30) -> tuple[torch.Tensor, torch.Tensor]:
    X = LAYOUT.sample(n, torch.Generator().manual_seed(0))
    Y = torch.stack([torch.sin(X[:, 1]) + X[:, 2], X[:, 0] - X[:, 1]], dim=-1)
    return X, (Y - Y.mean(dim=0)) / Y.std(dim=0)


@pytest.mark.slow
def test_posterior_has_one_value_per_outcome_and_interpolates() -> None:
    X, Y = make_data()
    model = ArchitectureGP(X, Y, LAYOUT, train_Yvar=torch.full_like(Y, 1e-4))
    fit_gpytorch_mll(ExactMarginalLogLikelihood(model.likelihood, model))
    posterior = model.posterior(X)
    assert posterior.mean.shape == Y.shape
    assert (posterior.mean - Y).abs().max() < 0.1


def test_switched_off_columns_do_not_change_predictions() -> None:
    X, Y = make_data()
    model = ArchitectureGP(X, Y, LAYOUT, train_Yvar=torch.full_like(Y, 0.01))
    rows = torch.tensor([[0.0, 1.0, 0.2], [0.0, 1.0, 0.9]], dtype=torch.float64)
    one, other = model.posterior(rows).mean
    assert torch.allclose(one, other, atol=1e-10)


def test_exact_observations_stay_invertible() -> None:
    X, Y = make_data()
    model = ArchitectureGP(X, Y, LAYOUT, train_Yvar=torch.zeros_like(Y))
    assert torch.isfinite(model.posterior(X).variance).all()


def test_noise_is_learned_where_none_is_given() -> None:
    X, Y = make_data()
    assert ArchitectureGP(X, Y, LAYOUT).likelihood.noise.shape == (2, 1)


def test_construct_inputs_passes_the_variance_on() -> None:
    X, Y = make_data()
    names = {"feature_names": ["a", "b", "c"], "outcome_names": ["y", "z"]}
    with_noise = ArchitectureGP.construct_inputs(SupervisedDataset(X, Y, Yvar=Y.square(), **names), LAYOUT)
    without = ArchitectureGP.construct_inputs(SupervisedDataset(X, Y, **names), LAYOUT)
    assert set(with_noise) - set(without) == {"train_Yvar"}


def test_rows_of_the_wrong_width_are_refused() -> None:
    X, Y = make_data()
    with pytest.raises(LayoutError, match="3 columns"):
        ArchitectureGP(X[:, :2], Y, LAYOUT)


def test_medians_alone_are_those_of_the_posterior() -> None:
    X, Y = make_data()
    model = ArchitectureGP(X, Y, LAYOUT, train_Yvar=torch.full_like(Y, 0.01))
    rows = LAYOUT.sample(12, torch.Generator().manual_seed(4))
    assert torch.allclose(model.predict_median(rows), model.posterior(rows).mean)
    assert (model.posterior(rows).variance > 0.0).all()  # what was spared is not remembered
