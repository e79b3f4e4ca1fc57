r"""Modelling an average cost by what is known of it: the range it must lie in.

An input leaves a network at one of its exits, each of known cost, so its average cost lies between that of the first
exit, :math:`a(x)`, and that of the last one, :math:`b(x)`. What remains to be learned is the share

.. math::
    s(x) = \frac{y(x) - a(x)}{b(x) - a(x)} \in [0, 1],

which depends far less on the network than its cost does. The Gaussian process models the share; as the way back is
affine at every input, its predictions of the cost are Gaussian too, and exact where there is a single exit.

Legend: `n` observations, `d` columns, `f` features, `m` outcomes.
"""

from __future__ import annotations

from typing import Protocol

import torch
from botorch.models.transforms.outcome import OutcomeTransform, Standardize
from botorch.posteriors import GPyTorchPosterior, Posterior
from gpytorch.distributions import MultitaskMultivariateNormal, MultivariateNormal
from linear_operator.operators import DiagLinearOperator
from torch import Tensor

from surrogates.errors import SurrogateError

SHARE_NOISE = 0.02  # standard deviation of a share that no feature explains; without it intervals are too narrow
SMALLEST_VARIANCE = 1e-6  # of a standardised outcome; what is exact must still leave matrices invertible
NO_INFORMATION = 1e4  # variance of a standardised observation that says nothing


class KnownCosts(Protocol):
    """The range of one outcome at every input."""

    outcome: str
    """Name of the outcome."""

    def __call__(self, X: Tensor) -> Tensor:
        """Return the least and the greatest cost, `n x 2`, of canonical rows, `n x d`; both positive."""


class OutcomeStandardize(Standardize):
    """Standardises outcomes, one of them, if its range is known, as its share of that range.

    For that outcome the inputs are features whose last two columns are the range's lower end and width, as
    `CanonicalFeatures` writes them. Where the range is a point the observation says nothing, and the prediction is
    that point.

    Args:
        num_outcomes: Number of outcomes, `m`.
        cost_outcome: Position of the outcome whose range is known, or `None`.
    """

    def __init__(self, num_outcomes: int, cost_outcome: int | None = None) -> None:
        super().__init__(m=num_outcomes)
        is_cost = torch.zeros(num_outcomes, dtype=torch.bool)
        if cost_outcome is not None:
            is_cost[cost_outcome] = True
        self.register_buffer("_is_cost", is_cost)

    def forward(self, Y: Tensor, Yvar: Tensor | None = None, X: Tensor | None = None) -> tuple[Tensor, Tensor | None]:
        """Turn observations, `n x m`, and their variances into standardised ones."""
        lower, width = self._ranges(X, Y)
        is_exact = width <= 0.0
        divisor = torch.where(is_exact, 1.0, width)
        values = torch.where(is_exact, torch.nan, (Y - lower) / divisor)
        if Yvar is not None:
            Yvar = Yvar / divisor.square() + torch.where(self._is_cost, SHARE_NOISE**2, 0.0)
        standardized, variances = super().forward(values, Yvar)
        if variances is not None:
            variances = torch.where(is_exact, NO_INFORMATION, variances.clamp_min(SMALLEST_VARIANCE))
        return standardized.nan_to_num(nan=0.0), variances

    def affine(self, X: Tensor) -> tuple[Tensor, Tensor]:
        """Return offset and factor, `batch_shape x n x m`, from standardised values to outcomes at features `X`."""
        lower, width = self._ranges(X, X.new_empty(*X.shape[:-1], self._m))
        return lower + width * self.means, width * self.stdvs

    def untransform(
        self, Y: Tensor, Yvar: Tensor | None = None, X: Tensor | None = None
    ) -> tuple[Tensor, Tensor | None]:
        """Return outcomes for standardised values at features `X`."""
        lower, width = self._ranges(X, Y)
        factor = width * self.stdvs
        return lower + width * self.means + factor * Y, None if Yvar is None else factor.square() * Yvar

    def untransform_posterior(self, posterior: Posterior, X: Tensor | None = None) -> GPyTorchPosterior:
        """Return the posterior of the outcomes at features `X`."""
        if X is None:
            raise SurrogateError("outcomes are scaled by input; X is needed")
        if X.ndim > posterior.mean.ndim:  # BoTorch repeats the inputs for each outcome
            X = X.select(-3, 0)
        return affine_posterior(posterior, *self.affine(X))

    def subset_output(self, idcs: list[int]) -> OutcomeTransform:
        """Refuse: the outcomes of one model stay together."""
        raise NotImplementedError("outcomes with known costs cannot be taken apart")

    def _ranges(self, X: Tensor | None, Y: Tensor) -> tuple[Tensor, Tensor]:
        """Return lower end and width of each outcome's range; 0 and 1 where it is not known."""
        if not self._is_cost.any():
            return torch.zeros_like(Y), torch.ones_like(Y)
        if X is None:
            raise SurrogateError("costs are known at inputs; X is needed")
        lower, width = X[..., -2:-1].detach(), X[..., -1:].detach()
        return torch.where(self._is_cost, lower, 0.0), torch.where(self._is_cost, width, 1.0)


def affine_posterior(posterior: Posterior, offset: Tensor, factor: Tensor) -> GPyTorchPosterior:
    """Return the posterior of `offset + factor * f`, both `batch_shape x n x m`.

    BoTorch's own way back supposes one factor per outcome, not one per input.
    """
    normal = posterior.distribution
    mean = offset + factor * posterior.mean
    if not isinstance(normal, MultitaskMultivariateNormal):
        scaling = DiagLinearOperator(factor.expand(mean.shape).squeeze(-1))
        covariance = scaling @ normal.lazy_covariance_matrix @ scaling
        return GPyTorchPosterior(MultivariateNormal(mean.squeeze(-1), covariance))
    by_order = factor.expand(mean.shape)
    scaling = DiagLinearOperator((by_order if normal._interleaved else by_order.mT).flatten(-2))
    covariance = scaling @ normal.lazy_covariance_matrix @ scaling
    return GPyTorchPosterior(MultitaskMultivariateNormal(mean, covariance, interleaved=normal._interleaved))
