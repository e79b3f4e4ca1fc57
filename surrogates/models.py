"""The Gaussian process over architectures and thresholds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import gpytorch
import torch
from botorch.models import SingleTaskGP
from botorch.utils.datasets import SupervisedDataset
from gpytorch.constraints import GreaterThan
from gpytorch.kernels import ScaleKernel
from gpytorch.priors import LogNormalPrior
from torch import Tensor

from surrogates.columns import ColumnLayout
from surrogates.errors import LayoutError
from surrogates.features import CanonicalFeatures
from surrogates.kernels.additive_matern import AdditiveMaternKernel
from surrogates.kernels.grouped_matern import GroupedMaternKernel
from surrogates.known_costs import KnownCosts, fit_exit_shares
from surrogates.outcomes import Outcome, OutcomeScaling
from surrogates.selected_outcomes import SelectedOutcomes

ALWAYS_FITTED = 64  # up to this number of rows, every new row causes a refit
GROWTH = 1.05  # beyond it, factor by which the number of rows must grow before a refit
SMALLEST_OUTPUTSCALE = 1e-3  # of a standardised outcome; the density of the prior is not defined at 0


class ArchitectureGP(SingleTaskGP):
    """Exact GP on canonical features, with one length-scale per group of columns.

    Outcomes are independent, have the same inputs, and are standardised by the model (`OutcomeScaling`). If the
    variances of the observations are given (binomial for accuracy), they are the noise; otherwise one noise level per
    outcome is learned.

    Args:
        train_X: Rows in the space of `layout`, `n x d`.
        train_Y: Observations in natural units, `n x m`.
        layout: Meaning of the columns.
        train_Yvar: Variances of the observations, `n x m`, or `None`.
        known_costs: Cost of leaving at each exit, by the position of the outcome that is its average. The shares of
            inputs that go on at the exits are fitted to the first of these outcomes.
        outcomes: Bounds and direction of each outcome; by default nothing is known.

    Raises:
        LayoutError: If `train_X` does not have the layout's columns.
    """

    def __init__(
        self,
        train_X: Tensor,
        train_Y: Tensor,
        layout: ColumnLayout,
        *,
        train_Yvar: Tensor | None = None,
        known_costs: Mapping[int, KnownCosts] | None = None,
        outcomes: Sequence[Outcome] | None = None,
    ) -> None:
        if train_X.shape[-1] != len(layout):
            raise LayoutError(f"the layout has {len(layout)} columns, train_X {train_X.shape[-1]}")
        known_costs = dict(known_costs or {})
        exit_shares = None
        for outcome, costs in [*known_costs.items()][:1]:
            first = rows_to_fit(len(train_X))  # the shares then change only at refits
            exit_shares = fit_exit_shares(train_X[:first], train_Y[:first, outcome], layout, known_costs=costs)
        features = CanonicalFeatures(layout, tuple(known_costs.values()), exit_shares)
        num_outputs = train_Y.shape[-1]
        batch_shape = torch.Size([num_outputs]) if num_outputs > 1 else torch.Size()
        # Where costs are known, so are the effects that add up.
        kernel_class = GroupedMaternKernel if known_costs else AdditiveMaternKernel
        kernel = kernel_class(features.groups, batch_shape, active_dims=tuple(range(len(features.groups))))
        super().__init__(
            train_X=train_X,
            train_Y=train_Y,
            train_Yvar=train_Yvar,
            covar_module=ScaleKernel(
                kernel,
                batch_shape=batch_shape,
                outputscale_prior=LogNormalPrior(0.0, 1.0),
                outputscale_constraint=GreaterThan(SMALLEST_OUTPUTSCALE),
            ),
            outcome_transform=OutcomeScaling(outcomes or (Outcome(),) * num_outputs, tuple(known_costs)),
            input_transform=features,
        )
        self.layout = layout
        self.has_known_noise = train_Yvar is not None
        self.observations = (train_X, train_Y) if train_Yvar is None else (train_X, train_Y, train_Yvar)
        self._known_costs, self._outcomes = known_costs, outcomes

    def leading_rows(self, count: int) -> ArchitectureGP:
        """Return a model of the first `count` observations with initial hyper-parameters."""
        train_X, train_Y, *train_Yvar = (part[:count] for part in self.observations)
        return ArchitectureGP(
            train_X,
            train_Y,
            self.layout,
            train_Yvar=next(iter(train_Yvar), None),
            known_costs=self._known_costs,
            outcomes=self._outcomes,
        )

    @torch.no_grad()
    def predict_median(self, X: Tensor) -> Tensor:
        """Return the posterior median, `n x m`, of rows `n x d`, without computing their `n x n` covariance."""
        self.eval()
        features = self.transform_inputs(X)
        with gpytorch.settings.skip_posterior_variances():
            self(features[:1])  # creates the prediction strategy; calling it on all rows would compute their covariance
        cross = self.covar_module(features, self.train_inputs[0]).evaluate_kernel()
        # m x n, or n for a single outcome
        mean = self.prediction_strategy.exact_predictive_mean(self.mean_module(features), cross)
        median: Tensor = self.outcome_transform.to_natural(mean.reshape(self.num_outputs, -1).T, features)
        return median

    def predict_standardized(self, X: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return the mean and variance of standardised outcomes, `n x m` each, and the features of rows `n x d`."""
        self.eval()
        predicted = self(features := self.transform_inputs(X))
        mean, variance = (part.reshape(self.num_outputs, -1).T for part in (predicted.mean, predicted.variance))
        return mean, variance, features

    def subset_output(self, idcs: list[int]) -> SelectedOutcomes:
        """Return a view of some outcomes; the model is not split, because its outcomes share features."""
        return SelectedOutcomes(self, idcs)

    @classmethod
    def construct_inputs(
        cls,
        training_data: SupervisedDataset,
        layout: ColumnLayout,
        *,
        known_costs: Sequence[KnownCosts] = (),
        outcomes: Mapping[str, Outcome] | None = None,
        categorical_features: Sequence[int] | None = None,  # noqa: ARG003  passed by Ax; the layout has this information
    ) -> dict[str, object]:
        """Return the constructor's arguments for a data set; called by Ax. `outcomes` are given by name."""
        inputs: dict[str, object] = {
            "train_X": training_data.X,
            "train_Y": training_data.Y,
            "layout": layout,
            "known_costs": by_outcome(known_costs, training_data.outcome_names),
            "outcomes": [(outcomes or {}).get(name, Outcome()) for name in training_data.outcome_names],
        }
        if training_data.Yvar is not None:
            inputs["train_Yvar"] = training_data.Yvar
        return inputs


def by_outcome(known_costs: Sequence[KnownCosts], outcomes: Sequence[str]) -> dict[int, KnownCosts]:
    """Return known costs, keyed by the position of their outcome in a list of outcome names."""
    return {list(outcomes).index(known.outcome): known for known in known_costs}


def rows_to_fit(num_rows: int) -> int:
    """Return the number of leading rows that a fit uses: all if they are few, otherwise those of the last refit."""
    leading = min(num_rows, ALWAYS_FITTED)
    while (following := int(leading * GROWTH)) <= num_rows and leading >= ALWAYS_FITTED:
        leading = following
    return leading
