"""Fitting of hyper-parameters on precomputed features of a bounded number of rows.

A surrogate has a few dozen hyper-parameters; a hundred rows suffice to fit them. Predictions use all rows. A new fit is
made only when the number of rows has grown enough (`rows_to_fit`). Every fit starts from the same values and uses
leading rows only, so that a proposal depends on its observations and not on earlier fits.
"""

from __future__ import annotations

import math
import weakref
from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from botorch.fit import fit_gpytorch_mll
from botorch.models import SingleTaskGP
from botorch.optim.closures.core import ForwardBackwardClosure
from botorch.optim.utils import get_parameters
from gpytorch.mlls import ExactMarginalLogLikelihood
from linear_operator.utils.cholesky import psd_safe_cholesky
from torch import Tensor
from torch.nn import Module

from surrogates.kernels.additive_matern import AdditiveMaternKernel
from surrogates.models import ArchitectureGP, rows_to_fit

MOST_ROWS = 128
MOST_ITERATIONS = 50  # of L-BFGS


State = dict[str, dict[str, Tensor]]


@dataclass
class FitMemory:
    """Cache of the last fit, keyed by its training rows. It saves time, and frees memory of earlier models."""

    rows: tuple[Tensor, ...] = ()
    state: State = field(default_factory=dict)
    _last: Callable[[], ArchitectureGP | None] = lambda: None  # a weak reference

    def recall(self, rows: tuple[Tensor, ...]) -> State | None:
        """Return the cached state that was fitted to exactly these rows, or `None`."""
        same = len(rows) == len(self.rows) and all(map(torch.equal, rows, self.rows))
        return self.state if same and rows else None

    def replace_model(self, model: ArchitectureGP) -> None:
        """Free the caches of the previous model, some 40 MB at 1,000 rows.

        GPyTorch's modules form reference cycles, so models stay in memory until Python's garbage collector runs.
        """
        last = self._last()
        if last is not None and last is not model:
            last.prediction_strategy = None
        self._last = weakref.ref(model)

    def __deepcopy__(self, _: dict[int, object]) -> FitMemory:
        """Return the object itself: Ax copies its settings for every proposal, and a copy would not share the cache."""
        return self


def fit_surrogate(model: ArchitectureGP, memory: FitMemory | None = None, max_rows: int = MOST_ROWS) -> None:
    """Fit the kernel, the mean and, if it is learned, the noise in place.

    Args:
        model: The surrogate with its initial hyper-parameters.
        memory: Cache of the fit, for models with the same leading rows.
        max_rows: Maximum number of rows in the marginal likelihood, evenly spaced in the order of observation.

    Raises:
        ModelFittingError: If all attempts of the optimiser fail.
    """
    memory = memory or FitMemory()
    memory.replace_model(model)
    count = rows_to_fit(len(model.observations[0]))
    rows = tuple(part[:count] for part in model.observations)
    state = memory.recall(rows)
    if state is None:
        leading = model.leading_rows(count)
        _fit(leading, max_rows)
        state = {name: module.state_dict() for name, module in _fitted_modules(leading).items()}
        memory.rows, memory.state = rows, state
    for name, module in _fitted_modules(model).items():
        module.load_state_dict(state[name])
    model.eval()


def _fitted_modules(model: ArchitectureGP) -> dict[str, Module]:
    """Return the modules of a model that a fit changes; known noise is not fitted."""
    learned_noise = {} if model.has_known_noise else {"likelihood": model.likelihood}
    return {"kernel": model.covar_module, "mean": model.mean_module, **learned_noise}


def _fit(model: ArchitectureGP, max_rows: int) -> None:
    model.train()
    num_outputs = model.num_outputs
    X = model.train_inputs[0]
    X = X[0] if X.ndim == 3 else X  # all outcomes have the same inputs
    targets = model.train_targets.reshape(num_outputs, -1)
    rows = torch.linspace(0, len(X) - 1, min(len(X), max_rows)).round().long()
    with torch.no_grad():
        features = model.input_transform(X[rows])
    noise = model.likelihood.noise.detach().reshape(num_outputs, -1)
    bare = SingleTaskGP(
        train_X=features,
        train_Y=targets[:, rows].T,
        train_Yvar=noise[:, rows].T if model.has_known_noise else None,
        likelihood=None if model.has_known_noise else model.likelihood,
        covar_module=model.covar_module,
        mean_module=model.mean_module,
        outcome_transform=None,
    )
    likelihood = ExactMarginalLogLikelihood(bare.likelihood, bare)
    fit_gpytorch_mll(
        likelihood,
        closure=_closure(likelihood) if isinstance(model.covar_module.base_kernel, AdditiveMaternKernel) else None,
        optimizer_kwargs={"options": {"maxiter": MOST_ITERATIONS}},
    )


def _closure(likelihood: ExactMarginalLogLikelihood) -> ForwardBackwardClosure:
    """Return the negative marginal likelihood with gradients, from distances that are computed once.

    It has the same value as BoTorch's own, in a tenth of the time: a fit of few rows is mostly overhead.
    """
    model = likelihood.model
    kernel = model.covar_module.base_kernel
    X = model.train_inputs[0]
    X = X[0] if X.ndim == 3 else X
    targets = model.train_targets.reshape(model.num_outputs, -1)  # m x n
    squared = kernel.squared_distances(X, X)  # G x n x n

    def loss() -> Tensor:
        covariance = model.covar_module.outputscale.reshape(-1, 1, 1) * kernel.of_squared(squared)
        noise = model.likelihood.noise.reshape(model.num_outputs, -1).expand_as(targets)
        cholesky = psd_safe_cholesky(covariance.reshape(-1, *squared.shape[-2:]) + torch.diag_embed(noise))
        centred = targets - model.mean_module.constant.reshape(-1, 1)
        whitened = torch.linalg.solve_triangular(cholesky, centred.unsqueeze(-1), upper=False)
        log_density = -0.5 * whitened.square().sum() - cholesky.diagonal(dim1=-2, dim2=-1).log().sum()
        log_density = log_density - 0.5 * targets.numel() * math.log(2.0 * math.pi)
        for _, module, prior, value, _ in model.named_priors():
            log_density = log_density + prior.log_prob(value(module)).sum()
        return -log_density / targets.shape[-1]

    return ForwardBackwardClosure(loss, get_parameters(likelihood, requires_grad=True))
