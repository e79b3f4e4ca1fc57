"""What is optimised, in which direction, from which reference. Signs flip here and nowhere else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from aebnas_bo.errors import ConfigError


@dataclass(frozen=True)
class Objective:
    """One metric to optimise.

    Args:
        name: Name of the metric.
        maximize: Whether larger is better.
        reference: Value, in natural units, from which hypervolume is measured.
        unit: Unit for tables and axes.
    """

    name: str
    maximize: bool
    reference: float
    unit: str = ""

    @property
    def sign(self) -> float:
        """Factor that turns the metric into one to be maximised."""
        return 1.0 if self.maximize else -1.0


def to_maximize(metrics: Sequence[Mapping[str, float]], objectives: Sequence[Objective]) -> Tensor:
    """Stack metrics as an `n x m` float64 tensor in which larger is always better.

    Args:
        metrics: One mapping per trial from metric name to its mean in natural units.
        objectives: The `m` objectives, in the order of the columns.

    Returns:
        The `n x m` tensor.

    Raises:
        ConfigError: If a metric is missing.
    """
    rows = []
    for row in metrics:
        missing = [objective.name for objective in objectives if objective.name not in row]
        if missing:
            raise ConfigError(f"objectives {missing} are not among the estimator's metrics {sorted(row)}")
        rows.append([objective.sign * row[objective.name] for objective in objectives])
    return torch.tensor(rows, dtype=torch.float64).reshape(len(rows), len(objectives))


def reference_to_maximize(objectives: Sequence[Objective]) -> Tensor:
    """Return the `m` reference values in the direction of `to_maximize`."""
    return torch.tensor([o.sign * o.reference for o in objectives], dtype=torch.float64)
