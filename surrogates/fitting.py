"""Fitting hyper-parameters: on precomputed features, and on no more rows than they need.

A surrogate here has a dozen hyper-parameters, which a few hundred rows determine; predictions use all rows. Every fit
starts from the same values, so that a proposal depends on its observations alone and not on earlier fits.
"""

from __future__ import annotations

import torch
from botorch.fit import fit_gpytorch_mll
from botorch.models import SingleTaskGP
from gpytorch.mlls import ExactMarginalLogLikelihood

from surrogates.models import ArchitectureGP

MOST_ROWS = 128
MOST_ITERATIONS = 50  # of L-BFGS


def fit_surrogate(model: ArchitectureGP, max_rows: int = MOST_ROWS) -> None:
    """Fit kernel, mean and, if it is learned, noise in place.

    Args:
        model: The surrogate, its hyper-parameters as constructed.
        max_rows: Most rows the marginal likelihood looks at, spread evenly over the order of observation.

    Raises:
        ModelFittingError: If no attempt of the optimiser succeeds.
    """
    model.train()
    num_outputs = model.num_outputs
    X = model.train_inputs[0]
    X = X[0] if X.ndim == 3 else X  # outcomes share their inputs
    targets = model.train_targets.reshape(num_outputs, -1)
    rows = torch.linspace(0, len(X) - 1, min(len(X), max_rows)).round().long()
    with torch.no_grad():
        features = model.input_transform(X[rows])
    noise = model.likelihood.noise.detach().reshape(num_outputs, -1)
    has_known_noise = noise.shape[-1] == len(X) and len(X) > 1
    bare = SingleTaskGP(
        train_X=features,
        train_Y=targets[:, rows].T,
        train_Yvar=noise[:, rows].T if has_known_noise else None,
        likelihood=None if has_known_noise else model.likelihood,
        covar_module=model.covar_module,
        mean_module=model.mean_module,
        outcome_transform=None,
    )
    likelihood = ExactMarginalLogLikelihood(bare.likelihood, bare)
    fit_gpytorch_mll(likelihood, optimizer_kwargs={"options": {"maxiter": MOST_ITERATIONS}})
    model.eval()
