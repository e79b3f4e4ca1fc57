"""The outcome of one evaluation, in natural units."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

RawData = dict[str, tuple[float, float]]


@dataclass(frozen=True)
class Measurement:
    """Mean of a metric and its standard error (0 where it is exact)."""

    mean: float
    sem: float = 0.0


@dataclass(frozen=True)
class Estimate:
    """Metrics of one point.

    Args:
        key: Key of the architecture.
        metrics: Measurement of each metric by name.
        details: Further figures worth keeping, such as exit rates.
    """

    key: str
    metrics: Mapping[str, Measurement]
    details: Mapping[str, float] = field(default_factory=dict)

    @property
    def raw_data(self) -> RawData:
        """`{metric: (mean, sem)}`, as `ax.api.Client.complete_trial` takes it."""
        return {name: (measurement.mean, measurement.sem) for name, measurement in self.metrics.items()}
