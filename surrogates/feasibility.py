r"""The logarithm of the probability that a candidate satisfies all constraints.

It replaces constrained hypervolume improvement while no observation is feasible: the improvement is then close to zero
for every candidate and does not lead towards feasible ones. Outcomes are independent and normal after standardisation,
which is monotone. With mean :math:`\mu`, standard deviation :math:`\sigma` and standardised limit :math:`t`, the
logarithm is

.. math::
    \sum_{\text{lower limits}} \log \Phi\left(\frac{\mu - t}{\sigma}\right) +
    \sum_{\text{upper limits}} \log \Phi\left(\frac{t - \mu}{\sigma}\right).

Legend: `n` candidates, `d` columns, `m` outcomes.

References:
    M. A. Gelbart, J. Snoek, R. P. Adams. Bayesian Optimization with Unknown Constraints. UAI 2014.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from botorch.acquisition.acquisition import AcquisitionFunction
from botorch.utils.transforms import t_batch_mode_transform
from torch import Tensor

from surrogates.models import ArchitectureGP

CERTAIN_WIDTH = 1e-3  # standard deviation assumed for exactly known outcomes, as a share of the limit's magnitude


@dataclass(frozen=True)
class OutcomeConstraint:
    """A limit on one outcome.

    Args:
        outcome: Position of the outcome.
        sign: 1 for a lower limit of the outcome, -1 for an upper limit.
        limit: The limit, in natural units.
    """

    outcome: int
    sign: float
    limit: float

    def in_units_of(self, spread: float) -> Callable[[Tensor], Tensor]:
        """Return a function from outcomes, `... x m`, to violations divided by `spread`; negative is feasible."""
        return lambda Y: self.sign * (self.limit - Y[..., self.outcome]) / spread


class LogFeasibility(AcquisitionFunction):
    """The logarithm of the probability that single candidates are feasible.

    Args:
        model: The fitted surrogate.
        constraints: The constraints, at least one.
        X_observed: Observed rows, `n x d`.
        most: Number of observed rows to keep in `X_baseline`; the most probably feasible ones are kept.
    """

    def __init__(
        self, model: ArchitectureGP, constraints: Sequence[OutcomeConstraint], X_observed: Tensor, *, most: int
    ) -> None:
        super().__init__(model)
        self._constraints = tuple(constraints)
        with torch.no_grad():
            nearest = self(X_observed.unsqueeze(-2)).argsort(descending=True, stable=True)
        self.X_baseline = X_observed[nearest[:most]]

    @t_batch_mode_transform(expected_q=1)  # type: ignore[untyped-decorator]
    def forward(self, X: Tensor) -> Tensor:
        """Return the `n` values of candidates `n x 1 x d`."""
        model: ArchitectureGP = self.model
        mean, variance, features = model.predict_standardized(X.squeeze(-2))
        natural = model.outcome_transform.to_natural(mean, features)
        total = torch.zeros_like(mean[:, 0])
        for constraint in self._constraints:
            place, limit = constraint.outcome, constraint.limit
            limits = torch.full_like(natural, limit)
            threshold, is_certain = model.outcome_transform.to_standardized(limits, features)
            uncertain = constraint.sign * (mean - threshold)[:, place] / variance[:, place].sqrt()
            certain = -constraint.in_units_of(CERTAIN_WIDTH * (abs(limit) or 1.0))(natural)
            total = total + torch.special.log_ndtr(torch.where(is_certain[:, place], certain, uncertain))
        return total
