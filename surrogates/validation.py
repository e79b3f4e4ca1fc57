r"""Quality of a surrogate: predictions of left-out observations, without refitting.

With fixed hyper-parameters, leaving rows out of a Gaussian process needs no second factorisation. Let :math:`A` be the
covariance of the observations, including noise. The left-out rows :math:`B` are predicted by

.. math::
    \mu_B = y_B - [A^{-1}]_{BB}^{-1} [A^{-1} (y - \mu)]_B, \qquad \Sigma_B = [A^{-1}]_{BB}^{-1}.

Legend: `n` observations, `m` outcomes.

References:
    C. E. Rasmussen and C. K. I. Williams. Gaussian Processes for Machine Learning. MIT Press, 2006, eqs. 5.10-5.12.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import torch
from linear_operator.utils.cholesky import psd_safe_cholesky
from scipy.stats import kendalltau
from torch import Tensor

from surrogates.errors import SurrogateError
from surrogates.models import ArchitectureGP

ROUNDING = 1e-6  # relative tolerance for observations at the end of an interval
COVERAGE_Z = 1.959963984540054  # of a 95 % interval


@dataclass(frozen=True)
class LeftOut:
    """Predictions of left-out observations, in natural units.

    Args:
        median: Posterior medians, `n x m`.
        lower: Lower end of the 95 % prediction interval, including noise, `n x m`.
        upper: Upper end of the 95 % prediction interval, `n x m`; equal to the lower end for an exactly known cost.
    """

    median: Tensor
    lower: Tensor
    upper: Tensor


@dataclass(frozen=True)
class Quality:
    """Agreement of predictions with observations.

    Args:
        num_observations: Number of observations compared.
        r2: Coefficient of determination.
        kendall_tau: Rank correlation of predictions and observations.
        coverage: Share of observations within the 95 % prediction interval.
    """

    num_observations: int
    r2: float
    kendall_tau: float
    coverage: float


@torch.no_grad()
def leave_out(model: ArchitectureGP, groups: Sequence[Hashable]) -> LeftOut:
    """Predict every group of observations from all other observations.

    Args:
        model: The fitted surrogate.
        groups: Group of each of the `n` rows; rows of one group (such as the operating points of one network) are left
            out together.

    Raises:
        SurrogateError: If `groups` does not have one entry per observation.
    """
    model.eval()
    features = model.train_inputs[0]
    features = features[0] if features.ndim == 3 else features  # all outcomes have the same inputs
    if len(groups) != len(features):
        raise SurrogateError(f"expected a group for each of {len(features)} observations, got {len(groups)}")
    num_outputs = model.num_outputs
    targets = model.train_targets.reshape(num_outputs, -1)
    noise = model.likelihood.noise.reshape(num_outputs, -1).expand_as(targets)
    covariance = model.covar_module(features, features).to_dense().reshape(num_outputs, *[len(features)] * 2)
    covariance.diagonal(dim1=-2, dim2=-1).add_(noise)  # in place, to save memory at thousands of rows
    cholesky = psd_safe_cholesky(covariance)
    del covariance
    mean = model.mean_module(features).reshape(num_outputs, -1)
    precision = torch.cholesky_inverse(cholesky)
    del cholesky
    weights = (precision @ (targets - mean).unsqueeze(-1)).squeeze(-1)
    means, variances = torch.empty_like(targets), torch.empty_like(targets)
    rows_of: dict[Hashable, list[int]] = {}
    for row, group in enumerate(groups):
        rows_of.setdefault(group, []).append(row)
    for rows in rows_of.values():
        block = torch.linalg.inv(precision[:, rows][:, :, rows])
        means[:, rows] = targets[:, rows] - (block @ weights[:, rows].unsqueeze(-1)).squeeze(-1)
        variances[:, rows] = block.diagonal(dim1=-2, dim2=-1)
    half, to_natural = COVERAGE_Z * variances.sqrt(), model.outcome_transform.to_natural
    return LeftOut(*(to_natural(values.T, features) for values in (means, means - half, means + half)))


def quality(observed: Tensor, predicted: LeftOut, outcome: int) -> Quality | None:
    """Compare observations with the predictions of one outcome, exactly known values excluded.

    Args:
        observed: Observations in natural units, `n x m`.
        predicted: The predictions.
        outcome: Position of the outcome.

    Returns:
        The quality, or `None` if fewer than three observations remain.
    """
    is_uncertain = predicted.upper[:, outcome] > predicted.lower[:, outcome]
    median, lower, upper, truth = (
        values[is_uncertain, outcome] for values in (predicted.median, predicted.lower, predicted.upper, observed)
    )
    if len(truth) < 3:
        return None
    error, rounding = median - truth, ROUNDING * truth.abs()
    spread = (truth - truth.mean()).square().sum()
    return Quality(
        num_observations=len(truth),
        r2=float(1.0 - error.square().sum() / spread) if spread > 0.0 else float("nan"),
        kendall_tau=float(kendalltau(median.numpy(), truth.numpy()).statistic),
        coverage=float(((lower <= truth + rounding) & (truth <= upper + rounding)).double().mean()),
    )
