r"""A Gaussian process over two kinds of accuracies: cheap estimates and the accuracies of trained networks.

The accuracy :math:`t` of a trained network is a multiple of its estimate :math:`e` plus a difference that is modelled
by a Gaussian process of its own, both on the logit scale:

.. math::
    t(x) = \rho\, e(x) + \delta(x), \qquad e \sim GP(0, k_e), \quad \delta \sim GP(0, k_\delta).

So every estimate says something about trained networks, the more the larger the learned correlation, and a few trained
networks correct estimates that are biased in a part of the space. Each kernel contains a constant, which stands for an
unknown mean. Observations of both kinds have learned noise: shared weights suit some networks better than others for
no reason that their features show, and the best of many estimates is too high.

Legend: `n` observations, `d` columns, `f` features, `c` rows to predict.

References:
    M. C. Kennedy, A. O'Hagan. Predicting the Output from a Complex Computer Code When Fast Approximations Are
    Available. Biometrika 87, 2000, eq. 1.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import torch
from botorch.optim.closures.core import ForwardBackwardClosure
from botorch.optim.core import scipy_minimize
from linear_operator.utils.cholesky import psd_safe_cholesky
from torch import Tensor
from torch.nn import Module, Parameter

from surrogates.columns import ColumnLayout
from surrogates.errors import LayoutError, SurrogateError
from surrogates.features import CanonicalFeatures
from surrogates.kernels.additive_matern import LONGEST, SHORTEST, AdditiveMaternKernel
from surrogates.known_costs import share_of_logit, squeezed_logit
from surrogates.validation import COVERAGE_Z

PERCENT = 100.0
CONSTANT = 9.0  # prior variance of an unknown mean; standardised values rarely exceed 3
SMALLEST_NOISE = 1e-4  # variance of a standardised observation
FEWEST_ESTIMATES = 2
MOST_ITERATIONS = 50  # of L-BFGS, with length-scales on the log scale
# Means and standard deviations of normal priors of the logarithms of variances, and of the factor.
ESTIMATE_SCALE, DIFFERENCE_SCALE, FACTOR = (0.0, 1.0), (-1.5, 1.0), (1.0, 0.5)
ESTIMATE_NOISE, TRAINING_NOISE = (-3.0, 1.0), (-3.0, 1.0)
FARTHEST = 5.0  # standard deviations of a prior, and logits of a share, within which a fit stays
LATENT_MARGIN = 1e-3  # share by which accuracies stay within 0 and 1 when their variance is transformed


@dataclass(frozen=True)
class Accuracies:
    """Accuracies of networks in percent, estimated or after a training.

    Args:
        X: Rows in the space of a layout, `n x d`.
        is_trained: Whether each accuracy is that of a trained network, `n` booleans.
        mean: The accuracies, `n`.
        variance: Their variances from the finite number of images, `n`. What else differs is learned and not part of
            it: trainings of one network, and errors of estimates that no feature explains.

    Raises:
        SurrogateError: If shapes differ, or there are fewer than two estimates.
    """

    X: Tensor
    is_trained: Tensor
    mean: Tensor
    variance: Tensor

    def __post_init__(self) -> None:
        n = len(self.X)
        if any(part.shape != (n,) for part in (self.is_trained, self.mean, self.variance)):
            raise SurrogateError(f"expected a kind, a mean and a variance for each of {n} rows")
        if int((~self.is_trained).sum()) < FEWEST_ESTIMATES:
            raise SurrogateError(f"expected at least {FEWEST_ESTIMATES} estimates, got {int((~self.is_trained).sum())}")


@dataclass(frozen=True)
class Scale:
    """Mean and standard deviation of the logits of estimates, which standardise all values."""

    center: Tensor
    width: Tensor

    @classmethod
    def of(cls, estimates: Tensor) -> Scale:
        """Return the scale of logits; the width is 1 if all are equal."""
        spread = estimates.std(correction=0)
        return cls(estimates.mean(), torch.where(spread > 0.0, spread, 1.0))


@dataclass(frozen=True)
class _Inputs:
    """Features of rows, `n x f`, and whether each stands for a trained network, `n`."""

    features: Tensor
    is_trained: Tensor

    @cached_property
    def trained(self) -> Tensor:
        """Positions of the rows that stand for trained networks."""
        return self.is_trained.nonzero().squeeze(-1)


class TwoFidelityGP(Module):
    """Exact Gaussian process over estimates and accuracies of trained networks; see the module docstring.

    Args:
        observed: The observations.
        layout: Meaning of the columns.
        scale: Scale of the standardised values; by default that of the estimates.

    Raises:
        LayoutError: If the rows do not have the layout's columns.
    """

    def __init__(self, observed: Accuracies, layout: ColumnLayout, scale: Scale | None = None) -> None:
        super().__init__()
        if observed.X.shape[-1] != len(layout):
            raise LayoutError(f"the layout has {len(layout)} columns, X {observed.X.shape[-1]}")
        self._layout = layout
        self._features_of = CanonicalFeatures(layout)
        groups = self._features_of.groups
        self.estimate_kernel = AdditiveMaternKernel(groups).double()
        self.difference_kernel = AdditiveMaternKernel(groups).double()
        self.log_estimate_scale = Parameter(torch.tensor(ESTIMATE_SCALE[0], dtype=torch.float64))
        self.log_difference_scale = Parameter(torch.tensor(DIFFERENCE_SCALE[0], dtype=torch.float64))
        self.log_estimate_noise = Parameter(torch.tensor(ESTIMATE_NOISE[0], dtype=torch.float64))
        self.log_training_noise = Parameter(torch.tensor(TRAINING_NOISE[0], dtype=torch.float64))
        self.factor = Parameter(torch.tensor(FACTOR[0], dtype=torch.float64))
        self._inputs = _Inputs(self._features_of.transform(observed.X), observed.is_trained)
        self._squared = self._squared_distances(self._inputs, self._inputs)
        latent = squeezed_logit(observed.mean / PERCENT)
        self._scale = scale or Scale.of(latent[~observed.is_trained])
        self._targets = (latent - self._scale.center) / self._scale.width
        share = (observed.mean / PERCENT).clamp(LATENT_MARGIN, 1.0 - LATENT_MARGIN)
        slope = PERCENT * share * (1.0 - share) * self._scale.width  # of percent in standardised values
        self._variance = (observed.variance / slope.square()).clamp_min(SMALLEST_NOISE)
        self._condition()

    @property
    def correlation(self) -> float:
        """Learned correlation of a network's estimate with its accuracy after a training, without noise."""
        factor, estimate, difference = (
            part.detach() for part in (self.factor, self.log_estimate_scale.exp(), self.log_difference_scale.exp())
        )
        shared = factor.square() * estimate
        return float(factor.sign() * (shared / (shared + difference)).sqrt())

    @property
    def training_noise(self) -> Tensor:
        """Learned variance between trainings of one network, of standardised values."""
        return self.log_training_noise.exp()

    def fit(self) -> TwoFidelityGP:
        """Maximise the posterior density of the hyper-parameters, and return the model."""
        parameters = dict(self.named_parameters())
        closure = ForwardBackwardClosure(self.loss, parameters)
        scipy_minimize(closure, parameters, self._bounds(), options={"maxiter": MOST_ITERATIONS})
        self._condition()
        return self

    def _bounds(self) -> dict[str, tuple[float, float]]:
        """Return the range of each parameter; an unlimited step of the optimiser can overflow."""
        bounds = {
            name: (mean - FARTHEST * deviation, mean + FARTHEST * deviation)
            for name, (mean, deviation) in self._priors().items()
        }
        for kernel in ("estimate_kernel", "difference_kernel"):
            bounds[f"{kernel}.raw_lengthscale"] = (math.log(SHORTEST), math.log(LONGEST))
            bounds[f"{kernel}.raw_share"] = (-FARTHEST, FARTHEST)
        return bounds

    @staticmethod
    def _priors() -> dict[str, tuple[float, float]]:
        """Return mean and standard deviation of the normal prior of each scalar parameter."""
        return {
            "log_estimate_scale": ESTIMATE_SCALE,
            "log_difference_scale": DIFFERENCE_SCALE,
            "log_estimate_noise": ESTIMATE_NOISE,
            "log_training_noise": TRAINING_NOISE,
            "factor": FACTOR,
        }

    def with_observed(self, observed: Accuracies) -> TwoFidelityGP:
        """Return a model of other observations with the hyper-parameters and the scale of this one.

        Args:
            observed: The observations.
        """
        model = TwoFidelityGP(observed, self._layout, self._scale)
        model.load_state_dict(self.state_dict())
        model._condition()
        return model

    def loss(self) -> Tensor:
        """Return the negative logarithm of the marginal likelihood times the priors."""
        cholesky = psd_safe_cholesky(self._noisy_covariance())
        whitened = torch.linalg.solve_triangular(cholesky, self._targets.unsqueeze(-1), upper=False)
        loss = 0.5 * whitened.square().sum() + cholesky.diagonal().log().sum()
        for name, (mean, deviation) in self._priors().items():
            loss = loss + 0.5 * ((getattr(self, name) - mean) / deviation).square()
        for kernel in (self.estimate_kernel, self.difference_kernel):
            for _, module, prior, closure, _ in kernel.named_priors():
                loss = loss - prior.log_prob(closure(module)).sum()
        return loss

    @torch.no_grad()
    def predict(self, X: Tensor, is_trained: Tensor) -> tuple[Tensor, Tensor]:
        """Return means, `c`, and covariances, `c x c`, of standardised accuracies without noise.

        Args:
            X: Rows, `c x d`.
            is_trained: Whether to predict the accuracy after a training or the estimate, `c` booleans.
        """
        inputs = _Inputs(self._features_of.transform(X), is_trained)
        cross = self._covariance(inputs, self._inputs)
        half = torch.linalg.solve_triangular(self._cholesky, cross.T, upper=False)
        return cross @ self._weights, self._covariance(inputs, inputs) - half.T @ half

    def predict_percent(self, X: Tensor, is_trained: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return medians and the ends of the 95 % interval in percent, `c` each; see `predict` for the arguments."""
        mean, covariance = self.predict(X, is_trained)
        half = COVERAGE_Z * covariance.diagonal().clamp_min(0.0).sqrt()
        median, lower, upper = (self._to_percent(values) for values in (mean, mean - half, mean + half))
        return median, lower, upper

    def noise_of(self, is_trained: Tensor) -> Tensor:
        """Return the variance of a further observation of each kind: of trainings, or the mean one of estimates."""
        of_images = self._variance[~self._inputs.is_trained].mean()
        return of_images + self._own_noise(is_trained).detach()

    def _own_noise(self, is_trained: Tensor) -> Tensor:
        """Return the learned variance of observations of each kind."""
        return torch.where(is_trained, self.training_noise, self.log_estimate_noise.exp())

    def _to_percent(self, values: Tensor) -> Tensor:
        return PERCENT * share_of_logit(self._scale.center + self._scale.width * values)

    @torch.no_grad()
    def _condition(self) -> None:
        self._cholesky = psd_safe_cholesky(self._noisy_covariance())
        self._weights = torch.cholesky_solve(self._targets.unsqueeze(-1), self._cholesky).squeeze(-1)

    def _noisy_covariance(self) -> Tensor:
        noise = self._variance + self._own_noise(self._inputs.is_trained)
        return self._covariance(self._inputs, self._inputs) + torch.diag_embed(noise)

    def _covariance(self, one: _Inputs, other: _Inputs) -> Tensor:
        """Return the covariances of accuracies, `n1 x n2`."""
        factors = [torch.where(inputs.is_trained, self.factor, 1.0) for inputs in (one, other)]
        squared = self._squared if one is other is self._inputs else self._squared_distances(one, other)
        rows, columns = one.trained.unsqueeze(-1), other.trained
        estimate = CONSTANT + self.log_estimate_scale.exp() * self.estimate_kernel.of_squared(squared)
        difference = self.difference_kernel.of_squared(squared[:, rows, columns])
        shared: Tensor = factors[0].unsqueeze(-1) * factors[1] * estimate
        return shared.index_put(
            (rows, columns), CONSTANT + self.log_difference_scale.exp() * difference, accumulate=True
        )

    def _squared_distances(self, one: _Inputs, other: _Inputs) -> Tensor:
        """Return the squared distances within the groups of features, `G x n1 x n2`, which both kernels share."""
        return self.estimate_kernel.squared_distances(one.features, other.features)
