r"""The logarithm of the smoothed hypervolume improvement of single candidates.

BoTorch's qLogEHVI supports any number of joint candidates. A single candidate needs no inclusion-exclusion, no minima
over subsets and none of their guards against infinities. With cells :math:`[l, u]` of the non-dominated space, the
value is

.. math::
    \log \sum_{\text{cells}} \prod_{j=1}^{m} \min\nolimits_\tau\bigl(\mathrm{relu}_\tau(y_j - l_j),\, u_j - l_j\bigr),

with the same fat-tailed smoothing as in BoTorch, so that the values agree up to rounding.

Legend: `S` Monte Carlo samples, `n` candidates, `K` cells, `m` objectives.

References:
    S. Ament, S. Daulton, D. Eriksson, M. Balandat, E. Bakshy. Unexpected Improvements to Expected Improvement for
    Bayesian Optimization. NeurIPS 2023, appendix A.4.
"""

from __future__ import annotations

import torch
from botorch.utils.safe_math import log_fatplus
from torch import Tensor

LONGEST = 1e10  # replaces the side length of an unbounded cell
LOG_SHORTEST = -700.0  # replaces the logarithm for an empty cell; about that of the smallest float64
ELEMENTS = 2**16  # evaluated at once; arrays of half a megabyte fit into the processor's cache


def log_side_lengths(lower: Tensor, upper: Tensor) -> Tensor:
    """Return the logarithms of the side lengths, `S x K x m`; finite also for empty and unbounded cells."""
    return (upper.clamp_max(LONGEST) - lower).log().clamp_min(LOG_SHORTEST)


def log_improvement(values: Tensor, lower: Tensor, log_sides: Tensor, *, tau_relu: float, tau_max: float) -> Tensor:
    """Return the logarithm of the hypervolume that each candidate adds in each sample.

    Args:
        values: Samples of the objectives, `S x n x m`.
        lower: Lower corners of the cells of each sample, `S x K x m`.
        log_sides: Logarithms of the side lengths of these cells, `S x K x m`.
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
    tail = 2.0 / (2.0 + distance * (2.0 + distance))  # 1 at distance 0, quadratic decay
    log_lengths = torch.minimum(reached, log_sides) - tau_max * torch.log1p(tail)
    return torch.logsumexp(log_lengths.sum(dim=-1), dim=-1)
