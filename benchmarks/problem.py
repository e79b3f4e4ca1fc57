"""Benchmark problems: a search space, an estimator with one supernet shared by all methods, and a reference point.

Names: `digits/tiny`, `cifar10-mini/cifar`, `cifar10-mini/aebnas` (82 genes); `nats/cifar10`, `nats/cifar100`,
`nats/imagenet16-120` (a table of trained cells); `function/dtlz2` and other test functions of BoTorch; or `table:FILE`
for a CSV table.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from botorch.utils.multi_objective.hypervolume import infer_reference_point
from pymoo.indicators.hv import HV

from aebnas_bo.analysis.pareto import non_dominated
from aebnas_bo.config.loading import load_config
from aebnas_bo.errors import UsageError
from aebnas_bo.estimation.estimator import Estimator
from aebnas_bo.estimation.tabular_estimator import TabularEstimator
from aebnas_bo.search.objectives import Objective, reference_to_maximize, to_maximize
from aebnas_bo.space.search_space import SearchSpace
from aebnas_bo.study.running import prepare_study
from benchmarks.nats_bench import IMAGE_SETS, load_table
from benchmarks.published_functions import FUNCTIONS, FunctionEstimator
from surrogates.known_costs import KnownCosts

ROOT = Path(__file__).resolve().parents[1]
CONFIGURATIONS = {
    "digits/tiny": ROOT / "configs" / "digits.yaml",
    "cifar10-mini/cifar": ROOT / "configs" / "cifar10-mini.yaml",
    "cifar10-mini/aebnas": ROOT / "benchmarks" / "configs" / "cifar10-mini-aebnas.yaml",
}
NATS_PREFIX, FUNCTION_PREFIX, TABLE_PREFIX = "nats/", "function/", "table:"
TABLE_METRICS = ("accuracy", "average_macs")
PROBLEMS = (
    *CONFIGURATIONS,
    *(f"{NATS_PREFIX}{name}" for name in IMAGE_SETS),
    *(f"{FUNCTION_PREFIX}{name}" for name in FUNCTIONS),
)


@dataclass(frozen=True)
class Problem:
    """A search problem.

    Args:
        name: Name of the problem.
        space: Search space.
        estimator: Returns the true values; equal points have equal values.
        objectives: Metrics, directions and the one reference point of the problem.
        known_costs: MACs of leaving at each exit, where they are known.
        best_hypervolume: Hypervolume of the exact front or the best one published; `None` if it is not known.
    """

    name: str
    space: SearchSpace
    estimator: Estimator
    objectives: tuple[Objective, ...]
    known_costs: Sequence[KnownCosts] = ()
    best_hypervolume: float | None = None


def load_problem(name: str, nats_table: Path | None = None) -> Problem:
    """Prepare a problem; train its supernet if it is not cached.

    Args:
        name: Its name. A table needs the columns `accuracy` and `average_macs`; its reference point is the worst value
            of each.
        nats_table: The table of NATS-Bench, which is not part of this repository.

    Raises:
        UsageError: If there is no such problem, or it needs a table that is not given.
        AebnasError: As its parts do.
    """
    if name.startswith(TABLE_PREFIX):
        return _table(name)
    if name not in PROBLEMS:
        raise UsageError(f"no problem {name!r}; expected one of {[*PROBLEMS, TABLE_PREFIX + 'FILE']}")
    if name.startswith(NATS_PREFIX):
        return _nats(name, nats_table)
    if name.startswith(FUNCTION_PREFIX):
        function = FunctionEstimator(FUNCTIONS[name.removeprefix(FUNCTION_PREFIX)])
        best = function.best_hypervolume
        return Problem(name, function.search_space, function, function.objectives, best_hypervolume=best)
    study = prepare_study(load_config(CONFIGURATIONS[name], ["num_threads=1"]))
    return Problem(name, study.space.search_space, study.estimator, study.objectives, study.known_costs)


def _table(name: str) -> Problem:
    path = Path(name.removeprefix(TABLE_PREFIX))
    estimator = TabularEstimator.from_csv(path, metrics=TABLE_METRICS)
    rows = list(estimator.rows.values())
    objectives = _accuracy_and_macs(min(row["accuracy"] for row in rows), max(row["average_macs"] for row in rows))
    return _of_table(f"table/{path.stem}", estimator, objectives)


def _nats(name: str, path: Path | None) -> Problem:
    """Return a table; its reference point is a tenth of the exact front's range beyond its nadir (BoTorch's rule)."""
    if path is None:
        raise UsageError(f"{name} needs the table of NATS-Bench: give it with --table FILE")
    estimator = load_table(path, IMAGE_SETS[name.removeprefix(NATS_PREFIX)])
    front = _front(estimator, _accuracy_and_macs(0.0, 0.0))
    accuracy, negative_macs = infer_reference_point(torch.from_numpy(front)).tolist()
    return _of_table(name, estimator, _accuracy_and_macs(round(accuracy, 4), round(-negative_macs, 4)))


def _accuracy_and_macs(accuracy: float, average_macs: float) -> tuple[Objective, Objective]:
    return (
        Objective("accuracy", True, reference=accuracy, unit="%"),
        Objective("average_macs", False, reference=average_macs, unit="M"),
    )


def _front(estimator: TabularEstimator, objectives: Sequence[Objective]) -> np.ndarray:
    """Return the exact front of a table, larger is better."""
    points = to_maximize(list(estimator.rows.values()), objectives)
    front: np.ndarray = points[non_dominated(points)]
    return front


def _of_table(name: str, estimator: TabularEstimator, objectives: tuple[Objective, ...]) -> Problem:
    best = float(HV(ref_point=-reference_to_maximize(objectives))(-_front(estimator, objectives)))
    return Problem(name, estimator.search_space, estimator, objectives, best_hypervolume=best)
