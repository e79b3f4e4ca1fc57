r"""Transform between outcomes in natural units and standardised values.

* An outcome within known **bounds**, such as an accuracy, is modelled on the logit scale: near 100 % a percent is hard
  to win, and no prediction leaves the bounds. Its noise follows by the delta method.
* A **cost of known range** (see `known_costs`) is modelled likewise, with bounds of its own at every input and relative
  to the logit that is expected there. Where the range is a point the observation says nothing and the prediction is
  that point.
* All values are standardised then.

Legend: `n` observations, `f` features, `m` outcomes, `S` draws.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from botorch.models.transforms.outcome import OutcomeTransform, Standardize
from botorch.posteriors import Posterior, TransformedPosterior
from torch import Tensor

from surrogates.errors import SurrogateError
from surrogates.known_costs import MARGIN, share_of_logit, squeezed_logit

Bounds = tuple[float, float] | None

OWN_NOISE = 0.15  # share of a known variance that is a network's own: all are judged on the same inputs
COST_NOISE = 0.2  # standard deviation of a cost's logit that no feature explains; without it intervals are too narrow
SHARE_NOISE = 0.005  # the same of its share: near the range's ends a few inputs more or less move logits far
SMALLEST_VARIANCE = 1e-6  # of a standardised outcome; what is exact must still leave matrices invertible
NUM_RANGE_COLUMNS = 3  # of each known cost: lower end, width, expected logit
NO_INFORMATION = 1e4  # variance of a standardised observation that says nothing


class OutcomeScaling(Standardize):
    """Turns outcomes into standardised values.

    Inputs are features; their last three columns for each cost that is known are its range's lower end and width and
    the expected logit, as `CanonicalFeatures` writes them.

    Args:
        bounds: Lower and upper bound of each of the `m` outcomes, or `None` for an unbounded one.
        cost_outcomes: Positions of the outcomes whose range is known at every input, in the order of those columns.
    """

    def __init__(self, bounds: Sequence[Bounds], cost_outcomes: Sequence[int] = ()) -> None:
        super().__init__(m=len(bounds))
        self._cost_outcomes = tuple(cost_outcomes)
        is_cost = torch.tensor([position in self._cost_outcomes for position in range(len(bounds))])
        is_bounded = is_cost | torch.tensor([bound is not None for bound in bounds])
        lower_and_width = [(0.0, 1.0) if bound is None else (bound[0], bound[1] - bound[0]) for bound in bounds]
        self.register_buffer("_is_bounded", is_bounded)
        self.register_buffer("_is_cost", is_cost)
        self.register_buffer("_fixed_range", torch.tensor(lower_and_width, dtype=torch.float64))  # m x 2

    def forward(self, Y: Tensor, Yvar: Tensor | None = None, X: Tensor | None = None) -> tuple[Tensor, Tensor | None]:
        """Turn observations, `n x m`, and their variances into standardised ones; fits the standardisation."""
        lower, width, expected, is_certain = self._ranges(X, Y)
        share = (Y - lower) / width
        if Yvar is not None:
            Yvar = Yvar / width.square()
        margin = torch.zeros_like(Y) if Yvar is None else (0.5 * Yvar.sqrt()).clamp_max(0.5)
        inside = torch.minimum(torch.maximum(share, margin), 1.0 - margin)
        latent = torch.where(self._is_bounded, squeezed_logit(inside), share) - expected
        # Standardisation ignores exactly known values, unless all values are known exactly.
        values = torch.where(is_certain & ~is_certain.all(dim=-2, keepdim=True), torch.nan, latent)
        if Yvar is not None:
            slope = torch.where(self._is_bounded, (inside * (1.0 - inside)).clamp_min(MARGIN), 1.0)  # of the way back
            unexplained = COST_NOISE**2 + (SHARE_NOISE / slope).square()
            Yvar = OWN_NOISE * Yvar / slope.square() + torch.where(self._is_cost, unexplained, 0.0)
        standardized, variances = super().forward(values, Yvar)
        if variances is not None:
            variances = torch.where(is_certain, NO_INFORMATION, variances.clamp_min(SMALLEST_VARIANCE))
        return standardized.nan_to_num(nan=0.0), variances

    def to_natural(self, values: Tensor, X: Tensor | None) -> Tensor:
        """Return outcomes, `... x n x m`, for standardised values at features `n x f`."""
        lower, width, expected, is_certain = self._ranges(X, values)
        latent = expected + self.means + self.stdvs * values
        share = torch.where(self._is_bounded, share_of_logit(latent), latent)
        return lower + torch.where(is_certain, 0.0, width) * share

    def to_standardized(self, outcomes: Tensor, X: Tensor | None) -> tuple[Tensor, Tensor]:
        """Return standardised values of outcomes, `... x n x m`, and which of them, `n x m`, are certain (and 0)."""
        lower, width, expected, is_certain = self._ranges(X, outcomes)
        share = (outcomes - lower) / width
        latent = torch.where(self._is_bounded, squeezed_logit(share), share) - expected
        return torch.where(is_certain, 0.0, (latent - self.means) / self.stdvs), is_certain

    def untransform(
        self, Y: Tensor, Yvar: Tensor | None = None, X: Tensor | None = None
    ) -> tuple[Tensor, Tensor | None]:
        """Return outcomes for standardised values at features `X`, with first-order variances."""
        return self.to_natural(Y, X), None if Yvar is None else self._variance(Y, Yvar, X)

    def untransform_posterior(self, posterior: Posterior, X: Tensor | None = None) -> TransformedPosterior:
        """Return the posterior of the outcomes at features `X`; of a bounded one mean and variance are approximate."""
        if X is not None and X.ndim > posterior.mean.ndim:  # BoTorch repeats the inputs for each outcome
            X = X.select(-3, 0)
        return TransformedPosterior(
            posterior,
            sample_transform=lambda draws: self.to_natural(draws, X),
            mean_transform=lambda mean, variance: self._mean(mean, variance, X),
            variance_transform=lambda mean, variance: self._variance(mean, variance, X),
        )

    def subset_output(self, idcs: list[int]) -> OutcomeTransform:
        """Refuse: the outcomes of one model stay together."""
        raise NotImplementedError("outcomes with known costs or bounds cannot be taken apart")

    def _mean(self, mean: Tensor, variance: Tensor, X: Tensor | None) -> Tensor:
        """Return the expected outcomes: MacKay's approximation for the sigmoid of a Gaussian, exact otherwise."""
        _, _, expected, _ = self._ranges(X, mean)
        shrink = (1.0 + math.pi / 8.0 * self.stdvs.square() * variance).sqrt()
        shrunk = (expected + self.means + self.stdvs * mean) / shrink
        adjusted = torch.where(self._is_bounded, (shrunk - expected - self.means) / self.stdvs, mean)
        return self.to_natural(adjusted, X)

    def _variance(self, mean: Tensor, variance: Tensor, X: Tensor | None) -> Tensor:
        _, width, expected, is_certain = self._ranges(X, mean)
        share = torch.sigmoid(expected + self.means + self.stdvs * mean)
        slope = torch.where(self._is_bounded, share * (1.0 - share), 1.0) * torch.where(is_certain, 0.0, width)
        return (slope * self.stdvs).square() * variance

    def _ranges(self, X: Tensor | None, like: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return lower end and width of each outcome's range, the expected logit, and where the range is a point.

        All `n x m` or broadcast to it; a range that is a point has width 1.
        """
        lower, width = self._fixed_range.to(like).unbind(dim=-1)
        if not self._cost_outcomes:
            nowhere = torch.zeros(like.shape[-2:], dtype=torch.bool, device=like.device)
            return lower, width, torch.zeros_like(width), nowhere
        if X is None:
            raise SurrogateError("costs are known at inputs; X is needed")
        known = X[..., -NUM_RANGE_COLUMNS * len(self._cost_outcomes) :]
        known = known.reshape(*X.shape[:-1], len(self._cost_outcomes), NUM_RANGE_COLUMNS)
        ranges = torch.stack([lower, width, torch.zeros_like(width)], dim=-1).expand(*X.shape[:-1], -1, -1)  # n x m x 3
        ranges = ranges.index_copy(-2, torch.tensor(self._cost_outcomes), known)
        lower, width, expected = ranges.unbind(dim=-1)
        is_certain = width <= 0.0
        return lower, torch.where(is_certain, 1.0, width), expected, is_certain
