"""Objectives: metric, direction, reference value and limits. Signs of metrics flip only in this file.

A metric that has a limit but is not optimised is an `Objective` with `is_constraint`. Fronts and hypervolumes ignore
its values, but only count points within its limit.
"""

from __future__ import annotations

import keyword
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from aebnas_bo.errors import ConfigError

PERCENT = (0.0, 100.0)
OWN_NAMES = ("accuracy", "average_macs", "latency_ms")
SMALLEST_SHARE = 1e-6  # of the reference: a smaller value counts as this one on the log scale

Scale = Literal["linear", "log"]
CONSTRAINT = re.compile(r"\s*([^\W\d]\w*)\s*(<=|>=)\s*(\S+)\s*")  # metric, relation, number


@dataclass(frozen=True)
class Objective:
    """Metric to optimise.

    Args:
        name: Name of the metric.
        maximize: Whether larger is better.
        reference: Coordinate of the hypervolume reference point, in natural units.
        unit: Unit for tables and axes.
        limit: Worst admissible value, in natural units; `None` admits every value.
        bounds: Lower and upper bound of the metric, such as 0 and 100 percent; `None` if it is unbounded. Surrogates
            respect them.
        possible: Lower and upper bound for checking trials only; surrogates ignore it.
        scale: Scale in which hypervolume counts the metric: `linear` compares differences, `log` ratios.
        is_constraint: Whether the metric has a limit only and is not optimised. `maximize` then means a lower limit,
            and the reference has no effect. `constraint` makes such an objective.

    Raises:
        ConfigError: If `scale` is `log` and the reference is not positive, a constraint has no limit, or Ax cannot read
            the name in a formula.
    """

    name: str
    maximize: bool
    reference: float
    unit: str = ""
    limit: float | None = None
    bounds: tuple[float, float] | None = None
    possible: tuple[float, float] | None = None
    scale: Scale = "linear"
    is_constraint: bool = False

    def __post_init__(self) -> None:
        for name in ("bounds", "possible"):
            value = getattr(self, name)
            if value is not None:  # JSON has no tuples
                object.__setattr__(self, name, tuple(value))
        if self.scale == "log" and self.reference <= 0.0:
            raise ConfigError(
                f"{self.name}: the log scale needs a positive reference, got {self.reference}; "
                "set another reference, or the scale linear"
            )
        if self.is_constraint and self.limit is None:
            raise ConfigError(f"{self.name}: a constraint needs a limit; set limit, or is_constraint=False")
        _check_name(self.name)

    @property
    def values(self) -> tuple[float, float]:
        """Lower and upper bound of a trial's value; minimised metrics are costs and therefore non-negative."""
        known = self.possible or self.bounds
        if known is not None:
            return known
        if self.is_constraint:
            return -math.inf, math.inf
        if self.name == "accuracy":
            return PERCENT
        return (-math.inf if self.maximize else 0.0), math.inf

    @property
    def sign(self) -> float:
        """Factor that converts the metric to one to maximise: 1.0 or -1.0."""
        return 1.0 if self.maximize else -1.0

    @property
    def smallest(self) -> float:
        """Value that stands for all smaller ones on the log scale."""
        return SMALLEST_SHARE * self.reference

    def to_maximize(self, value: float) -> float:
        """Return a value of the metric on the objective's scale, larger values being better."""
        return self.sign * (math.log(max(value, self.smallest)) if self.scale == "log" else value)


def _check_name(name: str) -> None:
    """Refuse a name that has another meaning in the formulas from which Ax reads objectives and limits."""
    if name in OWN_NAMES:
        return
    import sympy  # noqa: PLC0415  slow to import, and only needed for names of users

    if keyword.iskeyword(name) or hasattr(sympy, name):
        raise ConfigError(
            f"{name}: is a word of Python, or a function or constant of SymPy, with which Ax reads the names of "
            f"metrics; choose another name, such as {name}_value"
        )


def constraint(text: str, unit: str = "") -> Objective:
    """Return a limit of a metric that is not optimised.

    Args:
        text: Metric, `<=` or `>=`, and the limit in natural units, such as `memory_mb <= 4`.
        unit: Unit for tables and axes.

    Raises:
        ConfigError: If the text has another form.
    """
    found = CONSTRAINT.fullmatch(text)
    try:
        limit = float(found[3]) if found else math.nan
    except ValueError:
        limit = math.nan
    if found is None or not math.isfinite(limit):
        raise ConfigError(f"constraint {text!r}: expected METRIC <= NUMBER or METRIC >= NUMBER, such as memory_mb <= 4")
    return Objective(found[1], found[2] == ">=", reference=limit, unit=unit, limit=limit, is_constraint=True)


def optimized(objectives: Sequence[Objective]) -> tuple[Objective, ...]:
    """Return the objectives without constraints, in their order."""
    return tuple(objective for objective in objectives if not objective.is_constraint)


def to_maximize(metrics: Sequence[Mapping[str, float]], objectives: Sequence[Objective]) -> NDArray[np.float64]:
    """Stack metrics into an `n x m` float64 array of scaled values, in which larger is better in every column.

    Args:
        metrics: One mapping per trial from metric name to its mean in natural units.
        objectives: The `m` objectives, in the order of the columns, and any constraints, which have no column.

    Returns:
        The `n x m` array.

    Raises:
        ConfigError: If a metric is missing.
    """
    objectives, rows = optimized(objectives), []
    for row in metrics:
        missing = [objective.name for objective in objectives if objective.name not in row]
        if missing:
            raise ConfigError(f"objectives {missing} are not among the estimator's metrics {sorted(row)}")
        rows.append([objective.to_maximize(row[objective.name]) for objective in objectives])
    return np.array(rows, dtype=np.float64).reshape(len(rows), len(objectives))


def reference_to_maximize(objectives: Sequence[Objective]) -> NDArray[np.float64]:
    """Return the `m` reference values in the direction of `to_maximize`."""
    return np.array([o.to_maximize(o.reference) for o in optimized(objectives)], dtype=np.float64)


def violations(metrics: Mapping[str, float], objectives: Sequence[Objective]) -> tuple[float, ...]:
    """Return the excess of each limited metric over its limit, in natural units; at most 0 if the limit is met.

    Args:
        metrics: Value of each metric in natural units.
        objectives: The objectives and constraints; those without a limit are left out.
    """
    return tuple(o.sign * (o.limit - metrics[o.name]) for o in objectives if o.limit is not None)


def misses(metrics: Mapping[str, float], objectives: Sequence[Objective]) -> dict[str, float]:
    """Return the constraint violation of each metric beyond its limit, in natural units.

    Args:
        metrics: Value of each metric in natural units.
        objectives: The objectives; an objective without a limit is never violated.

    Returns:
        Violation by metric; metrics within their limits are left out.
    """
    short = {o.name: o.sign * (o.limit - metrics[o.name]) for o in objectives if o.limit is not None}
    return {name: miss for name, miss in short.items() if miss > 0.0}


def shortfall(metrics: Mapping[str, float], objectives: Sequence[Objective]) -> float:
    """Return the total constraint violation, scaled so that percent and millions of MACs can be added.

    Each violation is divided by the distance between the limit and the objective's reference value, or for a constraint
    by the limit's magnitude; the total is 0 if all limits are met.

    Args:
        metrics: Value of each metric in natural units.
        objectives: The objectives.
    """
    ways = {o.name: abs(o.limit - (0.0 if o.is_constraint else o.reference)) for o in objectives if o.limit is not None}
    return sum(miss / (ways[name] or 1.0) for name, miss in misses(metrics, objectives).items())
