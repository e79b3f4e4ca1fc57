import math

import pytest
import torch

from surrogates.columns import Column, ColumnLayout
from surrogates.known_costs import (
    MARGIN,
    ExitShares,
    average_cost,
    first_exit_costs,
    fit_exit_shares,
    share_of_logit,
    squeezed_logit,
)

LAYOUT = ColumnLayout(
    (
        Column("exit1", "exit1", 0, 1, is_discrete=True),
        Column("threshold1", "t1", 0.0, 1.0, False, inactive_value=1.0, parent=0, parent_levels=(1,)),
        Column("threshold2", "t2", 0.0, 1.0, False, gates=(1,)),
    )
)


class Costs:
    outcome = "cost"
    thresholds = (1, 2)

    def __call__(self, X: torch.Tensor) -> torch.Tensor:
        return torch.tensor([[1.0, 3.0, 10.0]], dtype=torch.float64).expand(len(X), -1)


def test_average_cost_by_hand() -> None:
    costs = torch.tensor([[1.0, 3.0, 10.0], [1.0, 3.0, 10.0]])
    least, expected, greatest = average_cost(costs, torch.tensor([[0.5, 0.2], [0.0, 0.7]]))
    assert expected.tolist() == pytest.approx([0.5 * 1.0 + 0.5 * (0.8 * 3.0 + 0.2 * 10.0), 1.0])
    assert least.tolist() == [1.0, 1.0]
    assert greatest.tolist() == [10.0, 10.0]


def test_exits_that_are_not_there_stop_nobody() -> None:
    shares = ExitShares(torch.zeros(2, 2))
    thresholds = torch.tensor([[0.3, 0.0], [0.3, 1.0]])
    going_on = shares.going_on(thresholds, torch.tensor([[False, True], [True, True]]))
    assert going_on[0].tolist() == [1.0, 0.0]
    assert going_on[1].tolist() == pytest.approx([0.3, 1.0])
    costs = first_exit_costs(torch.tensor([[1.0, 3.0, 10.0]] * 2), torch.tensor([[False, True], [False, False]]))
    assert costs.tolist() == [[3.0, 3.0, 10.0], [10.0, 10.0, 10.0]]


def test_shares_rise_with_thresholds() -> None:
    shares = ExitShares(torch.tensor([[math.log(0.5), math.log(3.0)]]))
    t = torch.linspace(0.0, 1.0, 11)[:, None]
    going_on = shares.going_on(t, torch.ones(11, 1, dtype=torch.bool)).flatten()
    assert going_on[0] == 0.0
    assert going_on[-1] == 1.0
    assert (going_on.diff() > 0.0).all()
    assert going_on[5].item() == pytest.approx(1.0 - (1.0 - 0.5**0.5) ** 3)


def test_fitted_shares_explain_costs() -> None:
    X = LAYOUT.sample(80, torch.Generator().manual_seed(0))
    truth = ExitShares(torch.tensor([[math.log(0.6), math.log(2.5)], [math.log(1.5), math.log(0.7)]]))
    is_active = LAYOUT.activity(X)[:, [1, 2]]
    costs = first_exit_costs(Costs()(X), is_active)
    _, observed, _ = average_cost(costs, truth.going_on(X[:, [1, 2]], is_active))
    fitted = fit_exit_shares(X, observed, LAYOUT, known_costs=Costs())
    _, expected, _ = average_cost(costs, fitted.going_on(X[:, [1, 2]], is_active))
    _, start, _ = average_cost(costs, ExitShares(torch.zeros(2, 2)).going_on(X[:, [1, 2]], is_active))
    assert (expected - observed).abs().mean() < 0.2 * (start - observed).abs().mean()


def test_networks_without_exits_teach_nothing() -> None:
    X = torch.tensor([[0.0, 1.0, 1.0]], dtype=torch.float64)

    class Flat(Costs):
        def __call__(self, X: torch.Tensor) -> torch.Tensor:
            return torch.ones(len(X), 3, dtype=torch.float64)

    assert torch.equal(fit_exit_shares(X, torch.ones(1), LAYOUT, known_costs=Flat()).shapes, torch.zeros(2, 2))


def test_squeezed_logits_reach_both_ends() -> None:
    shares = torch.tensor([0.0, 0.3, 1.0], dtype=torch.float64)
    assert squeezed_logit(shares).tolist()[0] == pytest.approx(math.log(MARGIN / (1.0 - MARGIN)))
    assert share_of_logit(squeezed_logit(shares)).tolist() == pytest.approx([0.0, 0.3, 1.0])
    assert share_of_logit(torch.tensor([-99.0, 99.0])).tolist() == [0.0, 1.0]
