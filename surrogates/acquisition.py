r"""qLogNEHVI and qNEHVI of single candidates, without a joint posterior per candidate.

BoTorch's noisy hypervolume acquisition functions sample, for every candidate, the joint posterior of the candidate and
all `b` baseline points. A single candidate does not need this: given a sample :math:`f_B` at the baseline, the value at
the candidate is Gaussian with

.. math::
    \mu_s(x) = \mu + k(x, Z) A^{-1} ([y, f_{B,s}] - \mu), \qquad
    \sigma^2(x) = k(x, x) - k(x, Z) A^{-1} k(Z, x),

where `Z` stacks training and baseline points, and `A` is their covariance plus the noise of the training points. `A` is
factorised once per proposal. Each candidate then needs one row of kernel values.

Legend: `S` Monte Carlo samples, `b` baseline points, `n` training points, `d` columns, `f` features, `m` outcomes.

References:
    S. Daulton, M. Balandat, E. Bakshy. Parallel Bayesian Optimization of Multiple Noisy Objectives with Expected
    Hypervolume Improvement. NeurIPS 2021.
    S. Ament, S. Daulton, D. Eriksson, M. Balandat, E. Bakshy. Unexpected Improvements to Expected Improvement for
    Bayesian Optimization. NeurIPS 2023.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from botorch.acquisition.multi_objective import logei
from botorch.acquisition.multi_objective.logei import qLogNoisyExpectedHypervolumeImprovement
from botorch.acquisition.multi_objective.monte_carlo import qNoisyExpectedHypervolumeImprovement
from botorch.acquisition.multi_objective.objective import MCMultiOutputObjective
from botorch.acquisition.multi_objective.utils import prune_inferior_points_multi_objective
from botorch.sampling import SobolQMCNormalSampler
from botorch.utils.multi_objective.pareto import is_non_dominated
from botorch.utils.objective import compute_smoothed_feasibility_indicator
from botorch.utils.sampling import draw_sobol_normal_samples, manual_seed
from botorch.utils.transforms import t_batch_mode_transform
from linear_operator.utils.cholesky import psd_safe_cholesky
from torch import Tensor
from torch.autograd.graph import saved_tensors_hooks

from surrogates.box_decomposition import SweptBoxes
from surrogates.errors import SurrogateError
from surrogates.feasibility import LogFeasibility, OutcomeConstraint
from surrogates.log_improvement import log_improvement, log_side_lengths
from surrogates.models import ArchitectureGP
from surrogates.outcomes import NO_INFORMATION

AcquisitionName = Literal["qlognehvi", "qnehvi"]

MOST_BASELINE_POINTS = 64  # from the best fronts; the time of a joint posterior sample is cubic in their number
NUM_SWEPT = 3  # number of objectives for which our own box decomposition replaces BoTorch's
ROUNDING = 1e-6  # of a column's largest magnitude; smaller differences between predictions are rounding errors
BASELINE_JITTER = 1e-6  # variance added at noise-free baseline points, as a share of the output scale


@dataclass(frozen=True)
class OptimizationConfig:
    """Objectives of a search.

    Args:
        objective: Maps outcomes to `m` objectives, all to be maximised.
        ref_point: Reference point in the direction and units of these objectives, `m`.
        constraints: Limits of outcomes; infeasible points add no hypervolume.
    """

    objective: MCMultiOutputObjective
    ref_point: Tensor
    constraints: Sequence[OutcomeConstraint] = ()


@dataclass(frozen=True)
class AcquisitionSettings:
    """Kind of acquisition function and its Monte Carlo samples.

    Args:
        name: `qlognehvi` or `qnehvi`.
        mc_samples: Number of Monte Carlo samples, `S`.
        seed: Seed of the quasi-random samples.
    """

    name: AcquisitionName = "qlognehvi"
    mc_samples: int = 64
    seed: int = 0


class _ConditionedPaths:
    """Posterior samples at single candidates, conditioned on the baseline samples of the box decomposition."""

    def __init__(self, model: ArchitectureGP, X_baseline: Tensor, baseline_draws: Tensor, *, seed: int) -> None:
        features = model.input_transform
        if model.training:
            model.eval()
        self._kernel = model.covar_module
        self._transform = features
        self._outcomes = model.outcome_transform
        train = model.train_inputs[0]
        train = train[0] if train.ndim == 3 else train  # n x f: all outcomes have the same inputs
        self._Z = torch.cat([train, features(X_baseline)])
        num_outputs = baseline_draws.shape[-1]
        self._mean = model.mean_module(self._Z[:1]).reshape(num_outputs, 1, 1).detach()
        targets = model.train_targets.reshape(num_outputs, -1)  # m x n
        noise = model.likelihood.noise.reshape(num_outputs, -1).expand_as(targets)
        scale = model.covar_module.outputscale.reshape(num_outputs, 1)
        standardized, is_certain = self._outcomes.to_standardized(baseline_draws, self._Z[len(train) :])
        jitter = torch.where(is_certain.T, NO_INFORMATION, BASELINE_JITTER * scale)  # m x b
        # Autograd would save some 400 MB at 2,000 rows for a gradient that is never computed. `no_grad` would avoid it,
        # but GPyTorch then rounds differently, and proposals would differ from those of earlier versions.
        with saved_tensors_hooks(_forget, _forget):
            covariance = self._covariance(self._Z, self._Z).detach()
        covariance.diagonal(dim1=-2, dim2=-1).add_(torch.cat([noise, jitter], dim=-1).detach())
        self._cholesky = psd_safe_cholesky(covariance)
        num_draws = len(baseline_draws)
        observed = targets.unsqueeze(-1).expand(*targets.shape, num_draws)  # m x n x S
        values = torch.cat([observed, standardized.permute(2, 1, 0)], dim=1) - self._mean
        self._weights = torch.cholesky_solve(values, self._cholesky).detach()  # m x (n + b) x S
        epsilon = draw_sobol_normal_samples(num_outputs, num_draws, dtype=values.dtype, seed=seed)
        # Scrambled Sobol sequences share their leading bits. Without shuffling, the signs would be correlated with
        # those of the baseline samples.
        self._epsilon = epsilon[torch.randperm(num_draws, generator=torch.Generator().manual_seed(seed))]

    def _covariance(self, x1: Tensor, x2: Tensor) -> Tensor:
        dense: Tensor = self._kernel(x1, x2).to_dense()
        return dense if dense.ndim == 3 else dense.unsqueeze(0)

    def __call__(self, X: Tensor) -> Tensor:
        """Return samples `S x batch x 1 x m` at candidates `batch x 1 x d`."""
        x = self._transform(X.squeeze(-2))
        cross = self._covariance(x, self._Z)  # m x batch x (n + b)
        mean = self._mean + cross @ self._weights  # m x batch x S
        half = torch.linalg.solve_triangular(self._cholesky, cross.mT, upper=False)
        prior = self._kernel(x[:1], diag=True).reshape(-1, 1)  # stationary kernel: the same everywhere
        deviation = (prior - half.square().sum(dim=-2)).clamp_min(1e-12).sqrt()  # m x batch
        draws = mean + deviation.unsqueeze(-1) * self._epsilon.T.unsqueeze(-2)
        outcomes: Tensor = self._outcomes.to_natural(draws.permute(2, 1, 0), x)  # S x batch x m
        return outcomes.unsqueeze(-2)


def _forget(_: object) -> Tensor:
    """Return an empty tensor instead of saving the given one."""
    return torch.empty(0)


class _ConditionedForward:
    """Mixin that evaluates single candidates on conditioned samples; list it before the BoTorch class in the bases."""

    ref_point: Tensor
    _improvement: Callable[..., Tensor]  # from samples `S x batch x 1 x m` at candidates `batch x 1 x d`

    def _set_cell_bounds(self, num_new_points: int) -> None:
        if len(self.ref_point) == NUM_SWEPT:
            self.p_class = SweptBoxes  # one box decomposition per baseline sample
        super()._set_cell_bounds(num_new_points)  # type: ignore[misc]
        self._paths = _paths_of(self)

    @t_batch_mode_transform(expected_q=1)  # type: ignore[untyped-decorator]
    def forward(self, X: Tensor) -> Tensor:
        """Return the `batch` values of candidates `batch x 1 x d`."""
        return self._improvement(samples=self._paths(X), X=X)


class ScaledObjective(MCMultiOutputObjective):
    """Objectives divided by their spread, so that smoothing does not depend on units such as percent or MACs.

    Args:
        objective: Maps outcomes to `m` objectives.
        scale: Divisor of each objective, `m`.
    """

    def __init__(self, objective: MCMultiOutputObjective, scale: Tensor) -> None:
        super().__init__()
        self._objective = objective
        self.register_buffer("scale", scale)

    def forward(self, samples: Tensor, X: Tensor | None = None) -> Tensor:
        """Return the objectives of outcome samples, `S x batch_shape x q x m`."""
        values: Tensor = self._objective(samples, X=X)
        return values / self.scale


class ConditionedLogNEHVI(_ConditionedForward, qLogNoisyExpectedHypervolumeImprovement):
    """qLogNEHVI on conditioned samples; see the module docstring."""

    def _set_cell_bounds(self, num_new_points: int) -> None:
        super()._set_cell_bounds(num_new_points)
        self._log_sides = log_side_lengths(self.cell_lower_bounds, self.cell_upper_bounds)

    def _improvement(self, samples: Tensor, X: Tensor) -> Tensor:
        values = self.objective(samples, X=X).squeeze(-2)  # S x batch x m
        improvement = log_improvement(
            values, self.cell_lower_bounds, self._log_sides, tau_relu=self.tau_relu, tau_max=self.tau_max
        )
        if self.constraints is not None:
            # With fat tails, a clearly infeasible candidate with a very large improvement would have a higher value
            # than feasible candidates, whose improvements become small.
            improvement = improvement + compute_smoothed_feasibility_indicator(
                constraints=self.constraints, samples=samples, eta=self.eta, log=True, fat=False
            ).squeeze(-1)
        return improvement.logsumexp(dim=0) - math.log(len(samples))


class ConditionedNEHVI(_ConditionedForward, qNoisyExpectedHypervolumeImprovement):
    """qNEHVI on conditioned samples; see the module docstring."""

    _improvement = qNoisyExpectedHypervolumeImprovement._compute_qehvi


def _paths_of(acquisition: Any) -> _ConditionedPaths:
    baseline = acquisition.X_baseline
    with torch.no_grad():
        draws = acquisition.base_sampler(acquisition.model.posterior(baseline))
    # Frees 200 MB at 2,000 rows. The acquisition function does not use it; the model recomputes it when needed.
    acquisition.model.prediction_strategy = None
    return _ConditionedPaths(acquisition.model, baseline, draws, seed=acquisition.base_sampler.seed + 1)


def noisy_hypervolume_acquisition(
    model: ArchitectureGP,
    X_observed: Tensor,
    config: OptimizationConfig,
    *,
    settings: AcquisitionSettings,
    X_pending: Tensor | None = None,
) -> ConditionedLogNEHVI | ConditionedNEHVI | LogFeasibility:
    """Build the acquisition function for one proposal.

    If no observed row is feasible, this is the probability of feasibility.

    Args:
        model: The fitted surrogate.
        X_observed: Observed rows, `n x d`.
        config: Objectives, reference point and constraints.
        settings: Kind of acquisition function and its samples.
        X_pending: Rows under evaluation, `p x d`, or `None`.

    Returns:
        A function from `batch x 1 x d` to `batch`.

    Raises:
        SurrogateError: If there are no observations.
    """
    if not len(X_observed):
        raise SurrogateError("hypervolume improvement needs at least one observation")
    # Keeps BoTorch from compiling a C++ extension that this package does not use. Compiling takes half a minute. If the
    # process is killed meanwhile, its lock file stays, and the next process waits for it forever.
    logei._load_attempted = True
    medians = model.predict_median(X_observed)
    expected, units = config.objective(medians, X=X_observed), _spread(medians).tolist()
    limits = [constraint.in_units_of(units[constraint.outcome]) for constraint in config.constraints] or None
    is_feasible = torch.ones(len(medians), dtype=torch.bool)
    for violation in limits or ():
        is_feasible &= violation(medians) <= 0.0
    if not is_feasible.any():
        return LogFeasibility(model, config.constraints, X_observed, most=MOST_BASELINE_POINTS)
    scale = _spread(expected)
    objective, ref_point = ScaledObjective(config.objective, scale), config.ref_point / scale
    X_best = X_observed[_first_layers(expected, MOST_BASELINE_POINTS, is_feasible)]
    sampler = SobolQMCNormalSampler(torch.Size([settings.mc_samples]), seed=settings.seed)
    with manual_seed(settings.seed):  # pruning uses the global generator
        baseline = prune_inferior_points_multi_objective(
            model=model,
            X=X_best,
            ref_point=ref_point,
            objective=objective,
            constraints=limits,
            num_samples=settings.mc_samples,
        )
    if not len(baseline):  # no row is likely to be feasible
        baseline = X_best
    cls = ConditionedLogNEHVI if settings.name == "qlognehvi" else ConditionedNEHVI
    return cls(
        model=model,
        ref_point=ref_point,
        X_baseline=baseline,
        sampler=sampler,
        objective=objective,
        constraints=limits,
        X_pending=X_pending,
        prune_baseline=False,
        cache_root=False,
    )


def _spread(values: Tensor) -> Tensor:
    """Return the standard deviation of each column.

    For a column that is constant up to rounding, this is its largest magnitude; for a column of zeros, 1.
    """
    spread, magnitude = values.std(dim=0, correction=0), values.abs().amax(dim=0)
    magnitude = torch.where(magnitude > 0.0, magnitude, 1.0)
    return torch.where(spread > ROUNDING * magnitude, spread, magnitude)


def _first_layers(values: Tensor, most: int, is_feasible: Tensor) -> Tensor:
    """Return the indices of at most `most` rows, ascending: the non-dominated front, then the next front, and so on.

    From the last front, select rows that are evenly spaced by their rank in the first objective. Infeasible rows are
    selected only after all feasible ones.
    """
    chosen = torch.zeros(len(values), dtype=torch.bool)
    while not chosen.all() and chosen.sum() < most:
        rest = ~chosen & is_feasible if (~chosen & is_feasible).any() else ~chosen
        rows = rest.nonzero().flatten()
        layer = rows[is_non_dominated(values[rows], deduplicate=False)]
        room = most - int(chosen.sum())
        layer = layer[values[layer, 0].argsort(stable=True)]
        chosen[layer[torch.linspace(0, len(layer) - 1, min(room, len(layer))).round().long()]] = True
    return chosen.nonzero().flatten()
