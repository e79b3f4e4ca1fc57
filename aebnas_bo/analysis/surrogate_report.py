"""Leave-one-network-out quality and length-scales of the surrogates, for `surrogate.csv`."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

import surrogates  # noqa: F401  before BoTorch, whose import it keeps quiet

# isort: split
from botorch.exceptions.errors import ModelFittingError

from aebnas_bo.analysis.tables import write_csv
from aebnas_bo.search.objectives import Objective
from aebnas_bo.search.parameter_columns import column_layout, known_outcome
from aebnas_bo.search.trial import Observation, Trial, observations
from aebnas_bo.space.search_space import SearchSpace
from surrogates.fitting import fit_surrogate
from surrogates.known_costs import KnownCosts
from surrogates.models import ArchitectureGP, by_outcome
from surrogates.validation import Quality, leave_out, quality

logger = logging.getLogger(__name__)

HEADER = ("metric", "quantity", "of", "value")
FEWEST_TRIALS = 8
MOST_FURTHER = 1000  # further operating points, as many as a search learns from; memory is quadratic in their number


@dataclass(frozen=True)
class Prediction:
    """Observation with the surrogate's prediction from all other networks.

    Args:
        observed: The observation.
        predicted: Median of the prediction, in natural units.
        lower: Lower end of the 95 % prediction interval.
        upper: Upper end of the 95 % prediction interval.
    """

    observed: Observation
    predicted: float
    lower: float
    upper: float


@dataclass(frozen=True)
class SurrogateReport:
    """Quality and length-scales of the surrogate of one metric.

    Args:
        metric: Name of the metric.
        quality: Quality of leave-one-network-out predictions; `None` if too few predictions are uncertain.
        lengthscales: Length-scale of each group of features, which are in [-1, 1] except for logarithms of costs.
            Groups with shorter length-scales are more relevant.
        predictions: Predictions of every proposed operating point and of up to `MOST_FURTHER` evenly spread further
            ones, each from all other networks.
    """

    metric: str
    quality: Quality | None
    lengthscales: tuple[tuple[str, float], ...]
    predictions: tuple[Prediction, ...]


def write_surrogate_report(
    path: Path,
    trials: Sequence[Trial],
    *,
    space: SearchSpace,
    objectives: Sequence[Objective],
    known_costs: Sequence[KnownCosts] = (),
) -> None:
    """Fit the surrogates to all trials and write their quality and length-scales.

    Args:
        path: CSV file with the columns `metric`, `quantity`, `of`, `value`; only its header while fewer than 8 networks
            are known or no fit succeeds. `leave_one_out_...` are number of observations, R2, Kendall tau and share
            within the 95 % interval.
        trials: All trials.
        space: Search space.
        objectives: The metrics.
        known_costs: Costs that are known for every point.
    """
    rows: list[tuple[str, str, str, float]] = []
    for report in surrogate_reports(trials, space, objectives, known_costs=known_costs):
        name, found = report.metric, report.quality
        if found is not None:
            rows += [
                (name, "leave_one_out_observations", "", found.num_observations),
                (name, "leave_one_out_r2", "", found.r2),
                (name, "leave_one_out_kendall_tau", "", found.kendall_tau),
                (name, "leave_one_out_coverage", "", found.coverage),
            ]
        rows += [(name, "lengthscale", group, value) for group, value in report.lengthscales]
    write_csv(path, HEADER, rows)


def surrogate_reports(
    trials: Sequence[Trial],
    space: SearchSpace,
    objectives: Sequence[Objective],
    *,
    known_costs: Sequence[KnownCosts] = (),
) -> tuple[SurrogateReport, ...]:
    """Fit the surrogates to all trials and predict each network from all others.

    Args:
        trials: All trials.
        space: The search space.
        objectives: The metrics.
        known_costs: Costs that can be computed for every point.

    Returns:
        One report per metric; empty for fewer than 8 networks, or if no fit succeeds.
    """
    observed = _fitted(observations(trials))
    if len({one.key for one in observed}) < FEWEST_TRIALS:
        return ()
    try:
        return _reports(observed, space, objectives, known_costs=known_costs)
    except (ModelFittingError, RuntimeError, ValueError) as error:  # numerical problems must not end a run
        logger.warning("no surrogate report: %s", error)
        return ()


def _fitted(observed: Sequence[Observation]) -> list[Observation]:
    """Return the observations to fit surrogates to, in order."""
    further = [position for position, one in enumerate(observed) if one.index > 0]
    kept = further
    if len(further) > MOST_FURTHER:
        kept = [further[place] for place in np.linspace(0, len(further) - 1, MOST_FURTHER).round().astype(int)]
    is_kept = set(kept)
    return [one for position, one in enumerate(observed) if one.index == 0 or position in is_kept]


def _reports(
    observed: Sequence[Observation],
    space: SearchSpace,
    objectives: Sequence[Objective],
    *,
    known_costs: Sequence[KnownCosts],
) -> tuple[SurrogateReport, ...]:
    names = [objective.name for objective in objectives]
    X = torch.tensor(np.stack([space.encode(one.parameters) for one in observed]))
    Y = torch.tensor([[one.metrics[name] for name in names] for one in observed], dtype=torch.float64)
    sems = torch.tensor([[one.sems[name] for name in names] for one in observed], dtype=torch.float64)
    model = ArchitectureGP(
        X,
        Y,
        column_layout(space),
        train_Yvar=sems.square(),
        known_costs=by_outcome(known_costs, names),
        outcomes=[known_outcome(one) for one in objectives],
    )
    fit_surrogate(model)
    left_out = leave_out(model, [one.key for one in observed])
    kernel = model.covar_module.base_kernel
    lengthscales = kernel.lengthscale.detach().reshape(len(names), -1).tolist()
    reports = []
    for outcome, name in enumerate(names):
        columns = [values[:, outcome].tolist() for values in (left_out.median, left_out.lower, left_out.upper)]
        reports.append(
            SurrogateReport(
                metric=name,
                quality=quality(Y, left_out, outcome),
                lengthscales=tuple(zip(kernel.group_names, lengthscales[outcome], strict=True)),
                predictions=tuple(Prediction(*row) for row in zip(observed, *columns, strict=True)),
            )
        )
    return tuple(reports)
