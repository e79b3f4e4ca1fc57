import pytest
import torch

from surrogates.columns import Column, ColumnLayout
from surrogates.errors import SurrogateError
from surrogates.fitting import fit_surrogate
from surrogates.models import ArchitectureGP
from surrogates.validation import LeftOut, leave_out, quality

LAYOUT = ColumnLayout(
    (Column("depth", "stage", 0, 4, is_discrete=True), Column("threshold", "threshold", 0.0, 1.0, False))
)


class Costs:
    outcome = "cost"
    thresholds = (1,)

    def __call__(self, X: torch.Tensor) -> torch.Tensor:
        return torch.stack([torch.full_like(X[:, 0], 1.0), 1.0 + X[:, 0]], dim=-1)  # certain at depth 0


def data(n: int) -> tuple[torch.Tensor, torch.Tensor]:
    X = LAYOUT.sample(n, torch.Generator().manual_seed(0))
    noise = 0.05 * torch.randn(n, 2, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    accuracy, share = 50.0 + 3.0 * X[:, 0] + 2.0 * torch.sin(3.0 * X[:, 1]), X[:, 1]
    return X, torch.stack([accuracy, 1.0 + share * X[:, 0]], dim=-1) + noise * torch.tensor([1.0, 0.0])


def make(X: torch.Tensor, Y: torch.Tensor) -> ArchitectureGP:
    return ArchitectureGP(X, Y, LAYOUT, train_Yvar=torch.full_like(Y, 0.0025), known_costs={1: Costs()})


@pytest.mark.slow
@pytest.mark.parametrize("group_size", [1, 3])
def test_what_is_left_out_is_predicted_as_by_a_model_that_never_saw_it(group_size: int) -> None:
    X, Y = data(24)
    model = make(X, Y)
    fit_surrogate(model)
    groups = [row // group_size for row in range(24)]
    found = leave_out(model, groups)
    for group in (0, 2, 5):
        left = torch.tensor([g == group for g in groups])
        other = make(X[~left], Y[~left])
        other.input_transform._exit_shares = model.input_transform._exit_shares  # as fitted to the whole
        other.outcome_transform.load_state_dict(model.outcome_transform.state_dict())
        other.outcome_transform.eval()  # standardised as the whole was
        features = other.input_transform(X[~left])
        targets, noise = other.outcome_transform(Y[~left], torch.full_like(Y[~left], 0.0025), features)
        other.set_train_data(targets=targets.T, strict=False)
        other.likelihood.noise = noise.T
        for name, module in (("covar_module", other.covar_module), ("mean_module", other.mean_module)):
            module.load_state_dict(getattr(model, name).state_dict())
        assert torch.allclose(found.median[left], other.predict_median(X[left]), atol=1e-4)
        half = 1.96 * other.posterior(X[left]).variance[:, 0].sqrt() - 1e-4
        assert (found.upper[left, 0] - found.median[left, 0] >= half).all()  # noise comes on top
        assert (found.median[left, 0] - found.lower[left, 0] >= half).all()


def test_quality_of_hand_made_predictions() -> None:
    observed = torch.tensor([[1.0], [2.0], [3.0], [4.0], [9.0]], dtype=torch.float64)
    median = torch.tensor([[1.0], [2.0], [4.0], [3.0], [0.0]], dtype=torch.float64)
    half = torch.tensor([[0.6], [0.6], [0.6], [1.2], [0.0]], dtype=torch.float64)  # the last one is certain
    predicted = LeftOut(median, median - half, median + half)
    result = quality(observed, predicted, 0)
    assert result is not None
    assert result.num_observations == 4
    assert result.r2 == pytest.approx(1.0 - 2.0 / 5.0)
    assert result.kendall_tau == pytest.approx(4.0 / 6.0)
    assert result.coverage == 0.75
    assert quality(observed[:2], LeftOut(median[:2], median[:2] - half[:2], median[:2] + half[:2]), 0) is None


def test_a_wrong_number_of_groups_is_named() -> None:
    X, Y = data(6)
    with pytest.raises(SurrogateError, match="each of 6 observations, got 5"):
        leave_out(make(X, Y), list(range(5)))
