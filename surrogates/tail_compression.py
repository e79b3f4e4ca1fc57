r"""Transform that compresses the worse tail of an outcome.

A few networks that fail are far worse than all others, and would dominate the scale of an outcome. Let :math:`z` be
the centred and scaled outcome, larger values being better, and :math:`\lambda \ge 1` an exponent. The worse half is
transformed by the negative branch of the Yeo-Johnson transform

.. math::
    \psi(z) = -\frac{(1 - z)^{2 - \lambda} - 1}{2 - \lambda}, \qquad z < 0,

with a logarithm for :math:`\lambda = 2`. The better half is not changed: stretching it would make predictions beyond
the best observation overconfident. :math:`\lambda = 1` is the identity. The exponent maximises the likelihood of a
normal distribution.

Legend: `n` observations.

References:
    I.-K. Yeo, R. A. Johnson. A New Family of Power Transformations to Improve Normality or Symmetry. Biometrika 87,
    2000.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Self

import torch
from scipy.optimize import minimize_scalar
from torch import Tensor

LARGEST = 3.0  # upper bound of the exponent
FEWEST = 4  # minimum number of distinct values to learn an exponent from
ROUNDING = 1e-9  # smaller spreads, relative to the largest value, are rounding errors
FARTHEST = 1e4  # largest distance from the centre that `inverse` returns, in widths


@dataclass(frozen=True)
class TailCompression:
    """Transform of one outcome.

    Args:
        sign: 1.0 if larger values are better, -1.0 if smaller values are better.
        center: Value that is mapped to 0.
        width: Divisor of the centred value, positive.
        exponent: Exponent of the Yeo-Johnson transform, from 1 to `LARGEST`.
    """

    sign: float
    center: float
    width: float
    exponent: float

    @classmethod
    def fit(cls, values: Tensor, sign: float) -> Self:
        """Learn the transform from `n` finite values."""
        low, center, high = values.quantile(torch.tensor([0.25, 0.5, 0.75]).to(values)).tolist()
        spread = float(values.std(correction=0))
        width = high - low if high - low > ROUNDING * spread else spread
        if spread <= ROUNDING * float(values.abs().max()):
            return cls(sign, center, width=1.0, exponent=1.0)
        if len(set(values.tolist())) < FEWEST:
            return cls(sign, center, width, exponent=1.0)

        def loss(exponent: float) -> float:
            transform = cls(sign, center, width, exponent)
            log_spread = math.log(float(transform(values).std(correction=0)))
            return len(values) * log_spread - float((width * transform.slope(values)).log().sum())

        found = minimize_scalar(loss, bounds=(1.0, LARGEST), method="bounded")
        return cls(sign, center, width, float(found.x) if found.fun < loss(1.0) else 1.0)

    def __call__(self, values: Tensor) -> Tensor:
        """Return the transformed values."""
        scaled = self.sign * (values - self.center) / self.width
        return self.sign * torch.where(scaled < 0.0, -self._power((-scaled).clamp_min(0.0)), scaled)

    def inverse(self, values: Tensor) -> Tensor:
        """Invert the transform; on the worse side, results are at most `FARTHEST` widths from the centre."""
        signed = self.sign * values
        scaled = torch.where(signed < 0.0, -self._root((-signed).clamp_min(0.0)), signed)
        return self.center + self.width * self.sign * scaled

    def slope(self, values: Tensor) -> Tensor:
        """Return the derivative of the transform at `values`."""
        worse = (-self.sign * (values - self.center) / self.width).clamp_min(0.0)
        return (1.0 + worse) ** (1.0 - self.exponent) / self.width

    def _power(self, size: Tensor) -> Tensor:
        exponent = 2.0 - self.exponent
        return torch.log1p(size) if exponent == 0.0 else torch.expm1(exponent * torch.log1p(size)) / exponent

    def _root(self, size: Tensor) -> Tensor:
        exponent = 2.0 - self.exponent
        if exponent == 0.0:
            root = torch.expm1(size)
        else:
            root = torch.expm1(torch.log1p((exponent * size).clamp_min(-1.0)) / exponent)
        return root.clamp_max(FARTHEST)
