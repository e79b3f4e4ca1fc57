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
class FurtherSetting:
    """What the same network comes to at other thresholds, which its evaluation reveals at no cost.

    Args:
        thresholds: Thresholds by parameter name; all other parameters are the point's.
        metrics: Mean of each metric.
        sems: Standard error of each metric.
        details: Further figures, such as exit rates.
    """

    thresholds: Mapping[str, float]
    metrics: Mapping[str, float]
    sems: Mapping[str, float]
    details: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Estimate:
    """Metrics of one point.

    Args:
        key: Key of the architecture.
        metrics: Measurement of each metric by name.
        details: Further figures worth keeping, such as exit rates.
        further: The same network at other thresholds.
    """

    key: str
    metrics: Mapping[str, Measurement]
    details: Mapping[str, float] = field(default_factory=dict)
    further: tuple[FurtherSetting, ...] = ()

    @property
    def raw_data(self) -> RawData:
        """`{metric: (mean, sem)}`, as `ax.api.Client.complete_trial` takes it."""
        return {name: (measurement.mean, measurement.sem) for name, measurement in self.metrics.items()}
