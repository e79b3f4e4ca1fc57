r"""Yeo-Johnson transform that compresses one tail of an outcome.

Networks that fail lie far below those that compete, and a few of them would set the scale of an outcome. With the
centred and scaled outcome :math:`z` and an exponent :math:`\lambda \ge 1`,

.. math::
    \psi(z) = \begin{cases}
        ((1 + z)^\lambda - 1) / \lambda & z \ge 0 \\
        -((1 - z)^{2 - \lambda} - 1) / (2 - \lambda) & z < 0,
    \end{cases}

with a logarithm where an exponent is 0. The worse tail is compressed, the better one stretched; :math:`\lambda = 1`
changes nothing. The exponent maximises the likelihood of a normal distribution. If smaller is better, it is applied to
:math:`-z`.

Legend: `n` observations.

References:
    I.-K. Yeo, R. A. Johnson. A New Family of Power Transformations to Improve Normality or Symmetry. Biometrika 87,
    2000.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import torch
from scipy.stats import yeojohnson_normmax
from torch import Tensor

LARGEST = 3.0  # exponent
FEWEST = 4  # different values from which an exponent is learned
FARTHEST = 1e4  # from the centre, in widths; transforms beyond this value lead back to it


@dataclass(frozen=True)
class YeoJohnson:
    """Transform of one outcome.

    Args:
        sign: 1.0 if larger values are better, -1.0 if smaller ones are.
        center: Value that becomes 0.
        width: Divisor of the centred value, positive.
        exponent: 1 to `LARGEST`.
    """

    sign: float
    center: float
    width: float
    exponent: float

    @classmethod
    def fit(cls, values: Tensor, sign: float) -> Self:
        """Learn the transform from `n` finite values."""
        low, center, high = values.quantile(torch.tensor([0.25, 0.5, 0.75]).to(values)).tolist()
        width = high - low or float(values.std(correction=0)) or 1.0
        scaled = sign * (values - center) / width
        if len(scaled.unique()) < FEWEST:
            return cls(sign, center, width, exponent=1.0)
        exponent = float(yeojohnson_normmax(scaled.numpy()))
        return cls(sign, center, width, exponent=min(max(exponent, 1.0), LARGEST))

    def __call__(self, values: Tensor) -> Tensor:
        """Return the transformed values."""
        scaled = self.sign * (values - self.center) / self.width
        size = scaled.abs()
        return self.sign * torch.where(scaled < 0.0, -_power(size, 2.0 - self.exponent), _power(size, self.exponent))

    def inverse(self, values: Tensor) -> Tensor:
        """Return the values whose transforms these are, at most `FARTHEST` widths from the centre."""
        signed = self.sign * values
        size = signed.abs()
        scaled = torch.where(signed < 0.0, -_root(size, 2.0 - self.exponent), _root(size, self.exponent))
        return self.center + self.width * self.sign * scaled

    def slope(self, values: Tensor) -> Tensor:
        """Return the derivative of the transform at values."""
        scaled = self.sign * (values - self.center) / self.width
        power = torch.where(scaled < 0.0, 1.0 - self.exponent, self.exponent - 1.0)
        return (1.0 + scaled.abs()) ** power / self.width


def _power(size: Tensor, exponent: float) -> Tensor:
    return torch.log1p(size) if exponent == 0.0 else torch.expm1(exponent * torch.log1p(size)) / exponent


def _root(size: Tensor, exponent: float) -> Tensor:
    if exponent == 0.0:
        root = torch.expm1(size)
    else:
        root = torch.expm1(torch.log1p((exponent * size).clamp_min(-1.0)) / exponent)
    return root.clamp_max(FARTHEST)
