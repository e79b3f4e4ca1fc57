"""`surrogate.csv`: how well the surrogates know a study's networks, and what they think matters."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from botorch.exceptions.errors import ModelFittingError

from aebnas_bo.analysis.tables import write_csv
from aebnas_bo.search.columns import column_layout
from aebnas_bo.search.objectives import Objective
from aebnas_bo.search.trial import Trial, completed_settings
from aebnas_bo.space.search_space import SearchSpace
from surrogates.fitting import fit_surrogate
from surrogates.known_costs import KnownCosts
from surrogates.models import ArchitectureGP
from surrogates.validation import leave_out, quality

logger = logging.getLogger(__name__)

HEADER = ("metric", "quantity", "of", "value")
FEWEST_TRIALS = 8


def write_surrogate_report(
    path: Path,
    trials: Sequence[Trial],
    space: SearchSpace,
    objectives: Sequence[Objective],
    known_costs: KnownCosts | None = None,
) -> None:
    """Fit the surrogates to all trials and write their quality and length-scales.

    Every network is left out with all its settings and predicted from the other networks (`leave_one_out_...`: number
    of observations, R2, Kendall tau, share within the 95 % interval). A length-scale belongs to a group of features,
    which are in [-1, 1] but for logarithms of costs: the shorter, the more it matters.

    Args:
        path: CSV file with the columns `metric`, `quantity`, `of`, `value`; only its header while fewer than 8 networks
            are known or no fit succeeds.
        trials: All trials.
        space: What is searched.
        objectives: The metrics.
        known_costs: What leaving at each exit costs, or `None`.
    """
    observed = completed_settings(trials)
    rows: list[tuple[str, str, str, float]] = []
    if len({trial.key for trial in observed}) >= FEWEST_TRIALS:
        try:
            rows = _report(observed, space, objectives, known_costs)
        except (ModelFittingError, RuntimeError, ValueError) as error:  # numerical trouble must not end a run
            logger.warning("no surrogate report: %s", error)
    write_csv(path, HEADER, rows)


def _report(
    observed: Sequence[Trial], space: SearchSpace, objectives: Sequence[Objective], known_costs: KnownCosts | None
) -> list[tuple[str, str, str, float]]:
    names = [objective.name for objective in objectives]
    X = torch.tensor(np.stack([space.encode(trial.parameters) for trial in observed]))
    Y = torch.tensor([[trial.metrics[name] for name in names] for trial in observed], dtype=torch.float64)
    sems = torch.tensor([[trial.sems[name] for name in names] for trial in observed], dtype=torch.float64)
    cost_outcome = names.index(known_costs.outcome) if known_costs is not None else 0
    bounds = [objective.bounds for objective in objectives]
    model = ArchitectureGP(X, Y, column_layout(space), sems.square(), known_costs, cost_outcome, bounds)
    fit_surrogate(model)
    left_out = leave_out(model, [trial.key for trial in observed])
    kernel = model.covar_module.base_kernel
    lengthscales = kernel.lengthscale.detach().reshape(len(names), -1).tolist()
    rows: list[tuple[str, str, str, float]] = []
    for outcome, name in enumerate(names):
        found = quality(Y, left_out, outcome)
        if found is not None:
            rows += [
                (name, "leave_one_out_observations", "", found.num_observations),
                (name, "leave_one_out_r2", "", found.r2),
                (name, "leave_one_out_kendall_tau", "", found.kendall_tau),
                (name, "leave_one_out_coverage", "", found.coverage),
            ]
        rows += [
            (name, "lengthscale", group, value)
            for group, value in zip(kernel.group_names, lengthscales[outcome], strict=True)
        ]
    return rows
