import math

import pytest
import torch

from surrogates.columns import Column, ColumnLayout
from surrogates.feasibility import LogFeasibility, OutcomeConstraint
from surrogates.models import ArchitectureGP
from surrogates.outcomes import Outcome

LAYOUT = ColumnLayout(
    (
        Column("depth", "a", 0, 4, is_discrete=True),
        Column("width", "b", 0, 4, is_discrete=True),
        Column("threshold", "t", 0.0, 1.0, is_discrete=False),
    )
)


class Costs:
    """Every network costs `1 + width`; there are no exits."""

    outcome = "cost"
    thresholds = ()

    def __call__(self, X: torch.Tensor) -> torch.Tensor:
        return 1.0 + X[:, 1:2]


@pytest.fixture
def model() -> ArchitectureGP:
    X = LAYOUT.sample(20, torch.Generator().manual_seed(1))
    accuracy = 100.0 * torch.sigmoid(X[:, 0] + X[:, 2] - 1.0)
    Y = torch.stack([accuracy, X[:, 1] - X[:, 0]], dim=-1)
    outcomes = [Outcome((0.0, 100.0), 1.0), Outcome(sign=-1.0)]
    return ArchitectureGP(X, Y, LAYOUT, train_Yvar=torch.full_like(Y, 0.05), outcomes=outcomes)


def candidates() -> torch.Tensor:
    return LAYOUT.sample(30, torch.Generator().manual_seed(2))


def feasibility(model: ArchitectureGP, *constraints: OutcomeConstraint) -> LogFeasibility:
    return LogFeasibility(model, constraints, model.observations[0], most=5)


@pytest.mark.parametrize(
    "constraints",
    [
        (OutcomeConstraint(0, 1.0, 80.0),),
        (OutcomeConstraint(0, -1.0, 60.0),),
        (OutcomeConstraint(1, 1.0, 0.5),),
        (OutcomeConstraint(1, -1.0, 0.0),),
    ],
)
def test_a_value_is_the_logarithm_of_the_share_of_feasible_draws(model, constraints) -> None:
    rows = candidates()
    with torch.no_grad():
        values = feasibility(model, *constraints)(rows.unsqueeze(-2))
        draws = model.posterior(rows.unsqueeze(-2)).rsample(torch.Size([4000])).squeeze(-2)
    [limit] = constraints
    share = (limit.sign * (draws[..., limit.outcome] - limit.limit) >= 0.0).double().mean(dim=0)
    assert torch.allclose(values.exp(), share, atol=0.05)


def test_values_of_several_limits_add_up(model) -> None:
    limits, rows = (OutcomeConstraint(0, 1.0, 80.0), OutcomeConstraint(1, -1.0, 0.0)), candidates().unsqueeze(-2)
    with torch.no_grad():
        both, first, second = feasibility(model, *limits)(rows), *(feasibility(model, one)(rows) for one in limits)
    assert torch.allclose(both, first + second)


def test_a_limit_far_out_of_reach_still_ranks_candidates(model) -> None:
    with torch.no_grad():
        values = feasibility(model, OutcomeConstraint(0, 1.0, 99.9999))(candidates().unsqueeze(-2))
    assert values.isfinite().all()
    assert values.max() < math.log(0.5)
    assert values.std() > 0.1


def test_an_exactly_known_cost_is_feasible_or_not() -> None:
    X = LAYOUT.sample(12, torch.Generator().manual_seed(1))
    Y = torch.stack([X[:, 0], 1.0 + X[:, 1]], dim=-1)
    model = ArchitectureGP(X, Y, LAYOUT, train_Yvar=torch.full_like(Y, 1e-4), known_costs={1: Costs()})
    rows = torch.tensor([[0.0, 1.0, 0.5], [0.0, 3.0, 0.5], [0.0, 4.0, 0.5]], dtype=torch.float64)
    with torch.no_grad():
        values = feasibility(model, OutcomeConstraint(1, -1.0, 3.0))(rows.unsqueeze(-2))
    assert values[0] == pytest.approx(0.0)
    assert values[2] < values[1] < -100.0


def test_the_baseline_is_closest_to_being_feasible(model) -> None:
    X, limit = model.observations[0], OutcomeConstraint(0, 1.0, 99.0)
    acquisition = feasibility(model, limit)
    with torch.no_grad():
        values = acquisition(X.unsqueeze(-2))
        kept = acquisition(acquisition.X_baseline.unsqueeze(-2))
    assert torch.allclose(kept, values.sort(descending=True).values[:5])


def test_constraints_have_the_sign_of_their_violation() -> None:
    Y = torch.tensor([[90.0, 3.0], [80.0, 1.0]])
    assert OutcomeConstraint(0, 1.0, 85.0).in_units_of(5.0)(Y).tolist() == [-1.0, 1.0]
    assert OutcomeConstraint(1, -1.0, 2.0).in_units_of(0.5)(Y).tolist() == [2.0, -2.0]
