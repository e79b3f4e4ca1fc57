r"""The logarithm of smoothed hypervolume improvement by single candidates.

BoTorch's qLogEHVI treats any number of joint candidates; of one, inclusion and exclusion, minima over subsets and
their guards against infinities leave nothing to do. What remains, with cells :math:`[l, u]` of the space that a front
does not dominate, is

.. math::
    \log \sum_{\text{cells}} \prod_{j=1}^{m} \min\nolimits_\tau\bigl(\mathrm{relu}_\tau(y_j - l_j),\, u_j - l_j\bigr),

smoothed with fat tails as there, so that values agree to rounding.

Legend: `S` Monte Carlo samples, `n` candidates, `K` cells, `m` objectives.

References:
    S. Ament, S. Daulton, D. Eriksson, M. Balandat, E. Bakshy. Unexpected Improvements to Expected Improvement for
    Bayesian Optimization. NeurIPS 2023, appendix A.4.
"""

from __future__ import annotations

import torch
from botorch.utils.safe_math import log_fatplus
from torch import Tensor

LONGEST = 1e10  # stands for the side of a cell without end
LOG_SHORTEST = -700.0  # stands for that of an empty cell: about the smallest number there is
ELEMENTS = 2**16  # evaluated at once: arrays of half a megabyte stay in a processor's cache


def log_side_lengths(lower: Tensor, upper: Tensor) -> Tensor:
    """Return the logarithms of cells' sides, `S x K x m`, finite also for empty and for endless ones."""
    return (upper.clamp_max(LONGEST) - lower).log().clamp_min(LOG_SHORTEST)


def log_improvement(values: Tensor, lower: Tensor, log_sides: Tensor, *, tau_relu: float, tau_max: float) -> Tensor:
    """Return the logarithm of the hypervolume that each candidate adds in each sample.

    Args:
        values: Draws of the objectives, `S x n x m`.
        lower: Lower corners of each sample's cells, `S x K x m`.
        log_sides: Logarithms of their sides, `S x K x m`.
        tau_relu: Temperature of the smoothed positive part.
        tau_max: Temperature of the smoothed minimum, on the log scale.

    Returns:
        An `S x n` tensor.
    """
    at_once = max(1, ELEMENTS // lower.numel())
    parts = [
        _log_improvement(part, lower.unsqueeze(1), log_sides.unsqueeze(1), tau_relu=tau_relu, tau_max=tau_max)
        for part in torch.split(values, at_once, dim=1)
    ]
    return torch.cat(parts, dim=1)


def _log_improvement(values: Tensor, lower: Tensor, log_sides: Tensor, *, tau_relu: float, tau_max: float) -> Tensor:
    reached = log_fatplus(values.unsqueeze(-2) - lower, tau=tau_relu)  # S x n x K x m
    distance = (reached - log_sides).abs() / tau_max
    tail = 2.0 / (2.0 + distance * (2.0 + distance))  # 1 at 0, falling as a square
    log_lengths = torch.minimum(reached, log_sides) - tau_max * torch.log1p(tail)
    return torch.logsumexp(log_lengths.sum(dim=-1), dim=-1)
