"""Benchmark problems: a search space, an estimator with one supernet shared by all methods, and a reference point.

Names: `digits/tiny`, `cifar10-mini/cifar`, `cifar10-mini/aebnas` (82 genes), or `table:FILE` for a CSV table.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from aebnas_bo.config.loading import load_config
from aebnas_bo.estimation.estimator import Estimator
from aebnas_bo.estimation.tabular_estimator import TabularEstimator
from aebnas_bo.search.objectives import Objective
from aebnas_bo.space.search_space import SearchSpace
from aebnas_bo.study.running import prepare_study
from surrogates.known_costs import KnownCosts

ROOT = Path(__file__).resolve().parents[1]
CONFIGURATIONS = {
    "digits/tiny": ROOT / "configs" / "digits.yaml",
    "cifar10-mini/cifar": ROOT / "configs" / "cifar10-mini.yaml",
    "cifar10-mini/aebnas": ROOT / "benchmarks" / "configs" / "cifar10-mini-aebnas.yaml",
}
TABLE_PREFIX = "table:"
TABLE_METRICS = ("accuracy", "average_macs")


@dataclass(frozen=True)
class Problem:
    """A search problem.

    Args:
        name: Name of the problem.
        space: Search space.
        estimator: Returns the true values; equal points have equal values.
        objectives: Metrics, directions and the one reference point of the problem.
        known_costs: MACs of leaving at each exit, if known.
    """

    name: str
    space: SearchSpace
    estimator: Estimator
    objectives: tuple[Objective, ...]
    known_costs: Sequence[KnownCosts] = ()


def load_problem(name: str) -> Problem:
    """Prepare a problem; train its supernet if it is not cached.

    Args:
        name: Name of the problem. A table needs the columns `accuracy` and `average_macs`; its reference point is the
            worst value of each.

    Raises:
        ValueError: If the problem does not exist.
        AebnasError: If the configuration, its images or the table are wrong.
    """
    if name.startswith(TABLE_PREFIX):
        return _table(name)
    if name not in CONFIGURATIONS:
        raise ValueError(f"no problem {name!r}; expected one of {[*CONFIGURATIONS, TABLE_PREFIX + 'FILE']}")
    study = prepare_study(load_config(CONFIGURATIONS[name], ["num_threads=1"]))
    return Problem(name, study.space.search_space, study.estimator, study.objectives, study.known_costs)


def _table(name: str) -> Problem:
    path = Path(name.removeprefix(TABLE_PREFIX))
    estimator = TabularEstimator.from_csv(path, metrics=TABLE_METRICS)
    rows = list(estimator.rows.values())
    objectives = (
        Objective("accuracy", True, reference=min(row["accuracy"] for row in rows), unit="%"),
        Objective("average_macs", False, reference=max(row["average_macs"] for row in rows), unit="M"),
    )
    return Problem(f"table/{path.stem}", estimator.search_space, estimator, objectives)
