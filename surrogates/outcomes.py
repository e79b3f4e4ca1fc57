r"""Transform between outcomes in natural units and standardised values.

* **Bounded outcomes**, such as accuracies, are modelled on the logit scale, so that differences near a bound count more
  and predictions stay within the bounds. Their noise is transformed by the delta method.
* **Costs of known range** (see `known_costs`) are modelled in the same way. The bounds differ between inputs, and the
  logits are relative to the expected logit at each input. If the range is a single point, the observation carries no
  information, and the prediction is this point.
* **Outcomes with a known direction** have their worse tail compressed (see `tail_compression`), so that a few failures
  do not dominate the scale. Costs of known range are not compressed.
* Finally, all values are standardised.

Legend: `n` observations, `f` features, `m` outcomes, `S` samples.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
import torch
from botorch.models.transforms.outcome import OutcomeTransform, Standardize
from botorch.posteriors import Posterior, TransformedPosterior
from numpy.typing import NDArray
from torch import Tensor

from surrogates.errors import SurrogateError
from surrogates.known_costs import MARGIN, share_of_logit, squeezed_logit
from surrogates.tail_compression import TailCompression

Bounds = tuple[float, float] | None

OWN_NOISE = 0.15  # share of a known variance that differs between networks; all are measured on the same inputs
COST_NOISE = 0.2  # standard deviation of cost logits that no feature explains; without it, intervals are too narrow
SHARE_NOISE = 0.005  # the same for shares: near the ends of the range, a few inputs change the logit much
SMALLEST_VARIANCE = 1e-6  # of a standardised outcome; keeps matrices invertible if observations are exact
NUM_RANGE_COLUMNS = 3  # per known cost: lower end, width, expected logit
NO_INFORMATION = 1e4  # variance of a standardised observation without information
NUM_NODES = 16  # of the Gauss-Hermite rule for moments in natural units


@dataclass(frozen=True)
class Outcome:
    """Bounds and direction of an outcome.

    Args:
        bounds: Lower and upper bound, or `None`.
        sign: 1.0 if larger values are better, -1.0 if smaller values are better, 0.0 to compress no tail.
    """

    bounds: Bounds = None
    sign: float = 0.0


@cache  # an analysis of Ax asks a thousand times
def _hermite_rule() -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return nodes and weights of the quadrature."""
    return np.polynomial.hermite_e.hermegauss(NUM_NODES)


class OutcomeScaling(Standardize):
    """Outcome transform to standardised values.

    Its inputs `X` are features of `CanonicalFeatures`. For each known cost, their last three columns are the lower end
    and the width of its range, and the expected logit.

    Args:
        outcomes: Bounds and direction of each of the `m` outcomes.
        cost_outcomes: Positions of the outcomes whose range is known at every input, in the order of these columns.
    """

    def __init__(self, outcomes: Sequence[Outcome], cost_outcomes: Sequence[int] = ()) -> None:
        super().__init__(m=len(outcomes))
        bounds = [outcome.bounds for outcome in outcomes]
        self._cost_outcomes = tuple(cost_outcomes)
        self._signs = [0.0 if k in self._cost_outcomes else outcome.sign for k, outcome in enumerate(outcomes)]
        self._warps: list[TailCompression | None] = [None] * len(outcomes)
        is_cost = torch.tensor([position in self._cost_outcomes for position in range(len(bounds))])
        is_bounded = is_cost | torch.tensor([bound is not None for bound in bounds])
        lower_and_width = [(0.0, 1.0) if bound is None else (bound[0], bound[1] - bound[0]) for bound in bounds]
        self.register_buffer("_is_bounded", is_bounded)
        self.register_buffer("_is_cost", is_cost)
        self.register_buffer("_fixed_range", torch.tensor(lower_and_width, dtype=torch.float64))  # m x 2

    def forward(self, Y: Tensor, Yvar: Tensor | None = None, X: Tensor | None = None) -> tuple[Tensor, Tensor | None]:
        """Standardise observations, `n x m`, and their variances; in training mode, fit the transform to them."""
        lower, width, expected, is_certain = self._ranges(X, Y)
        share = (Y - lower) / width
        if Yvar is not None:
            Yvar = Yvar / width.square()
        margin = torch.zeros_like(Y) if Yvar is None else (0.5 * Yvar.sqrt()).clamp_max(0.5)
        inside = torch.minimum(torch.maximum(share, margin), 1.0 - margin)
        latent = torch.where(self._is_bounded, squeezed_logit(inside), share) - expected
        if self.training:
            self._warps = [
                TailCompression.fit(latent[:, k], sign) if sign else None for k, sign in enumerate(self._signs)
            ]
        steepness, latent = self._slopes(latent), self._warped(latent)
        # Standardisation ignores exactly known values, unless all values of an outcome are known exactly.
        values = torch.where(is_certain & ~is_certain.all(dim=-2, keepdim=True), torch.nan, latent)
        if Yvar is not None:
            slope = torch.where(self._is_bounded, (inside * (1.0 - inside)).clamp_min(MARGIN), 1.0)  # of the sigmoid
            unexplained = COST_NOISE**2 + (SHARE_NOISE / slope).square()
            Yvar = OWN_NOISE * Yvar * (steepness / slope).square() + torch.where(self._is_cost, unexplained, 0.0)
        standardized, variances = super().forward(values, Yvar)
        if variances is not None:
            variances = torch.where(is_certain, NO_INFORMATION, variances.clamp_min(SMALLEST_VARIANCE))
        return standardized.nan_to_num(nan=0.0), variances

    def to_natural(self, values: Tensor, X: Tensor | None) -> Tensor:
        """Return outcomes, `... x n x m`, for standardised values at features `n x f`."""
        lower, width, expected, is_certain = self._ranges(X, values)
        latent = expected + self._unwarped(self.means + self.stdvs * values)
        share = torch.where(self._is_bounded, share_of_logit(latent), latent)
        return lower + torch.where(is_certain, 0.0, width) * share

    def to_standardized(self, outcomes: Tensor, X: Tensor | None) -> tuple[Tensor, Tensor]:
        """Return standardised values of outcomes, `... x n x m`, and which are certain, `n x m`; these are set to 0."""
        lower, width, expected, is_certain = self._ranges(X, outcomes)
        share = (outcomes - lower) / width
        latent = torch.where(self._is_bounded, squeezed_logit(share), share) - expected
        return torch.where(is_certain, 0.0, (self._warped(latent) - self.means) / self.stdvs), is_certain

    def _warped(self, latent: Tensor) -> Tensor:
        columns = zip(self._warps, latent.unbind(dim=-1), strict=True)
        return torch.stack([warp(column) if warp else column for warp, column in columns], dim=-1)

    def _unwarped(self, warped: Tensor) -> Tensor:
        columns = zip(self._warps, warped.unbind(dim=-1), strict=True)
        return torch.stack([warp.inverse(column) if warp else column for warp, column in columns], dim=-1)

    def _slopes(self, latent: Tensor) -> Tensor:
        columns = zip(self._warps, latent.unbind(dim=-1), strict=True)
        return torch.stack([warp.slope(c) if warp else torch.ones_like(c) for warp, c in columns], dim=-1)

    def untransform(
        self, Y: Tensor, Yvar: Tensor | None = None, X: Tensor | None = None
    ) -> tuple[Tensor, Tensor | None]:
        """Return outcomes for standardised values at features `X`, and their variances for normal values."""
        return self.to_natural(Y, X), None if Yvar is None else self._moments(Y, Yvar, X)[1]

    def untransform_posterior(self, posterior: Posterior, X: Tensor | None = None) -> TransformedPosterior:
        """Return the posterior of the outcomes at features `X`, its mean and variance by Gauss-Hermite quadrature."""
        if X is not None and X.ndim > posterior.mean.ndim:  # BoTorch repeats the inputs for each outcome
            X = X.select(-3, 0)
        return TransformedPosterior(
            posterior,
            sample_transform=lambda draws: self.to_natural(draws, X),
            mean_transform=lambda mean, variance: self._moments(mean, variance, X)[0],
            variance_transform=lambda mean, variance: self._moments(mean, variance, X)[1],
        )

    def subset_output(self, idcs: list[int]) -> OutcomeTransform:
        """Raise `NotImplementedError`: the outcomes of a model cannot be separated."""
        raise NotImplementedError("outcomes with known costs or bounds cannot be separated")

    def _moments(self, mean: Tensor, variance: Tensor, X: Tensor | None) -> tuple[Tensor, Tensor]:
        """Return the mean and variance of outcomes with normal standardised values, each `... x n x m`."""
        nodes, weights = (torch.from_numpy(part).to(mean) for part in _hermite_rule())
        shape = (NUM_NODES, *[1] * mean.ndim)
        median = self.to_natural(mean, X)
        deviations = self.to_natural(mean + variance.sqrt() * nodes.reshape(shape), X) - median
        weights = (weights / weights.sum()).reshape(shape)
        shift = (weights * deviations).sum(dim=0)
        return median + shift, (weights * (deviations - shift).square()).sum(dim=0)

    def _ranges(self, X: Tensor | None, like: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return lower end and width of each outcome's range, the expected logit, and whether the range is one point.

        Each is `n x m` or broadcasts to it. The width of a range of one point is returned as 1.
        """
        lower, width = self._fixed_range.to(like).unbind(dim=-1)
        if not self._cost_outcomes:
            nowhere = torch.zeros(like.shape[-2:], dtype=torch.bool, device=like.device)
            return lower, width, torch.zeros_like(width), nowhere
        if X is None:
            raise SurrogateError("the outcome transform needs X, because the ranges of known costs depend on it")
        known = X[..., -NUM_RANGE_COLUMNS * len(self._cost_outcomes) :]
        known = known.reshape(*X.shape[:-1], len(self._cost_outcomes), NUM_RANGE_COLUMNS)
        ranges = torch.stack([lower, width, torch.zeros_like(width)], dim=-1).expand(*X.shape[:-1], -1, -1)  # n x m x 3
        ranges = ranges.index_copy(-2, torch.tensor(self._cost_outcomes), known)
        lower, width, expected = ranges.unbind(dim=-1)
        is_certain = width <= 0.0
        return lower, torch.where(is_certain, 1.0, width), expected, is_certain
