r"""Prior knowledge of an average cost: the cost of leaving at each exit.

An input leaves a network at the first confident exit. Let :math:`c_k` be the cost of leaving at exit :math:`k`, and
:math:`o_k` the share of the inputs reaching exit :math:`k` that go on. The average cost is

.. math::
    \sum_k c_k (1 - o_k) \prod_{j < k} o_j, \qquad o_{\text{last}} = 0.

The dependence of :math:`o_k` on the threshold :math:`t_k` is similar for all networks. It is modelled by a Kumaraswamy
distribution function, :math:`o_k(t) = 1 - (1 - t^a)^b`, for each exit position, fitted to the observed costs. The
Gaussian process models the differences between networks.

Legend: `n` rows, `d` columns, `E` exits, the last output not counted.

References:
    P. Kumaraswamy. A generalized probability density function for double-bounded random processes. Journal of
    Hydrology 46, 1980.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor
from torch.nn.functional import smooth_l1_loss

from surrogates.columns import ColumnLayout

MARGIN = 1e-3  # shares are mapped to [MARGIN, 1 - MARGIN], so that their logits are finite
EDGE = 1e-6  # the same for thresholds
MOST_ROWS = 128  # maximum number of rows in a fit of the distribution functions
ITERATIONS = 30
SHAPE_PENALTY = 0.02  # on squared log shapes; they are 0 if the shares equal the thresholds
STEEPEST = 2.0  # largest absolute logarithm of a shape


class KnownCosts(Protocol):
    """Cost of leaving at each exit, for every input."""

    outcome: str
    """Name of the average cost among the outcomes."""

    thresholds: tuple[int, ...]
    """Columns of the thresholds, within [0, 1], in the order in which inputs reach the `E` exits."""

    def __call__(self, X: Tensor) -> Tensor:
        """Return the cost of leaving at each exit and at the last output, `n x (E + 1)`, for canonical rows, `n x d`.

        Costs are positive and do not decrease from exit to exit. Costs of inactive exits are ignored.
        """


@dataclass(frozen=True)
class ExitShares:
    """Share of inputs that go on at each exit, as a function of its threshold.

    Args:
        shapes: Logarithms of `a` and `b` of each exit, `E x 2`.
    """

    shapes: Tensor

    def going_on(self, thresholds: Tensor, is_active: Tensor) -> Tensor:
        """Return the share of the inputs reaching each exit that go on, `... x E`.

        It is 0 at threshold 0, and 1 at threshold 1 or if the exit is inactive.
        """
        a, b = self.shapes.exp().to(thresholds).unbind(dim=-1)
        inside = thresholds.clamp(EDGE, 1.0 - EDGE)
        share = 1.0 - (1.0 - inside**a) ** b
        share = torch.where(thresholds <= 0.0, 0.0, share)
        return torch.where((thresholds >= 1.0) | ~is_active, 1.0, share)


def average_cost(costs: Tensor, going_on: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return the smallest, the expected and the largest average cost.

    Args:
        costs: Cost of leaving at each exit and at the last output, `... x (E + 1)`.
        going_on: Share of the inputs reaching each exit that go on, `... x E`; 1 for inactive exits.

    Returns:
        Three tensors `...`. The cost is smallest if all inputs leave at the first exit, and largest if none leaves
        early.
    """
    reaching = torch.cat([torch.ones_like(costs[..., :1]), going_on.cumprod(dim=-1)], dim=-1)
    leaving = reaching * (1.0 - torch.cat([going_on, torch.zeros_like(costs[..., :1])], dim=-1))
    return costs[..., 0], (costs * leaving).sum(dim=-1), costs[..., -1]


def last_cost(known_costs: KnownCosts, X: Tensor) -> Tensor:
    """Return the cost of inputs that never leave early, `n`.

    Args:
        known_costs: Cost of leaving at each exit.
        X: Canonical rows, `n x d`.
    """
    return known_costs(X)[:, -1]


def fit_exit_shares(X: Tensor, observed: Tensor, layout: ColumnLayout, *, known_costs: KnownCosts) -> ExitShares:
    """Fit the distribution functions to observed average costs, relative to their ranges and on the logit scale.

    Args:
        X: Rows, `n x d`.
        observed: Average costs of these rows, `n`.
        layout: Meaning of the columns.
        known_costs: Cost of leaving at each exit.
    """
    rows = torch.linspace(0, len(X) - 1, min(len(X), MOST_ROWS)).round().long()
    canonical = layout.canonical(X[rows])
    columns = list(known_costs.thresholds)
    thresholds, is_active = canonical[:, columns], layout.activity(canonical)[:, columns]
    costs = first_exit_costs(known_costs(canonical).to(X), is_active)
    width = costs[:, -1] - costs[:, 0]
    is_open = width > 0.0
    start = torch.zeros(len(columns), 2, dtype=torch.float64)
    if not is_open.any():
        return ExitShares(start)
    target = logit_of_share(observed[rows], costs[:, 0], width)[is_open].detach()
    shapes = start.clone().requires_grad_(True)
    optimizer = torch.optim.LBFGS([shapes], max_iter=ITERATIONS, line_search_fn="strong_wolfe")

    def loss() -> Tensor:
        optimizer.zero_grad()
        going_on = ExitShares(shapes.clamp(-STEEPEST, STEEPEST)).going_on(thresholds, is_active)
        _, expected, _ = average_cost(costs, going_on)
        found = logit_of_share(expected, costs[:, 0], width)[is_open]
        value = smooth_l1_loss(found, target) + SHAPE_PENALTY * shapes.square().sum()
        value.backward()  # type: ignore[no-untyped-call]
        return value

    optimizer.step(loss)  # type: ignore[no-untyped-call]
    fitted = shapes.detach().clamp(-STEEPEST, STEEPEST)
    return ExitShares(fitted if fitted.isfinite().all() else start)


def first_exit_costs(costs: Tensor, is_active: Tensor) -> Tensor:
    """Replace the costs of inactive exits, in `n x (E + 1)`, by the cost of the next active exit or last output."""
    filled = [costs[:, -1]]
    for position in reversed(range(is_active.shape[-1])):
        filled.append(torch.where(is_active[:, position], costs[:, position], filled[-1]))
    return torch.stack(filled[::-1], dim=-1)


def logit_of_share(cost: Tensor, least: Tensor, width: Tensor) -> Tensor:
    """Return the squeezed logit of a cost relative to its range; 0 for a range of zero width."""
    is_point = width <= 0.0
    return squeezed_logit(torch.where(is_point, 0.5, (cost - least) / torch.where(is_point, 1.0, width)))


def squeezed_logit(share: Tensor) -> Tensor:
    """Return the logit of a share that is first mapped linearly to [MARGIN, 1 - MARGIN]; see `share_of_logit`."""
    return torch.logit(MARGIN + (1.0 - 2.0 * MARGIN) * share.clamp(0.0, 1.0))


def share_of_logit(latent: Tensor) -> Tensor:
    """Return the share whose `squeezed_logit` is given, clamped to [0, 1]."""
    return ((torch.sigmoid(latent) - MARGIN) / (1.0 - 2.0 * MARGIN)).clamp(0.0, 1.0)
