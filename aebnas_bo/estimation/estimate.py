"""The outcome of one evaluation, in natural units."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from aebnas_bo.early_exit.calibrated_output import Calibration

RawData = dict[str, tuple[float, float]]


@dataclass(frozen=True)
class Measurement:
    """Mean of a metric and its standard error (0 where it is exact)."""

    mean: float
    sem: float = 0.0


@dataclass(frozen=True)
class OperatingPoint:
    """A network at given thresholds; without exits, just its metrics.

    Args:
        metrics: Mean of each metric.
        sems: Standard error of each metric.
        exit_rates: Share of the images that leave at each output: `exit1`, `exit2` ... and `final`.
        thresholds: Threshold of each exit that is run, by parameter name.
        calibrations: How each output was calibrated; empty if none was.
    """

    metrics: Mapping[str, float]
    sems: Mapping[str, float]
    exit_rates: Mapping[str, float] = field(default_factory=dict)
    thresholds: Mapping[str, float] = field(default_factory=dict)
    calibrations: Mapping[str, Calibration] = field(default_factory=dict)

    @property
    def exit_figures(self) -> dict[str, float]:
        """Exit rates, calibrations and thresholds by the names of their columns in tables."""
        figures = {f"{output}_rate": rate for output, rate in self.exit_rates.items()}
        for output, one in self.calibrations.items():
            values = (one.temperature, one.error_before, one.error_after)
            figures |= dict(zip(calibration_columns(output), values, strict=True))
        return {**figures, **self.thresholds}


def calibration_columns(output: str) -> tuple[str, str, str]:
    """Return the names of an output's columns for temperature and calibration error before and after."""
    return f"{output}_temperature", f"{output}_calibration_error_before", f"{output}_calibration_error_after"


@dataclass(frozen=True)
class Estimate:
    """What was found about one point; an estimator that knows no exits gives key and metrics alone.

    Args:
        key: Key of the architecture.
        metrics: Measurement of each metric by name.
        exit_rates: As `OperatingPoint` has them.
        thresholds: As `OperatingPoint` has them.
        calibrations: As `OperatingPoint` has them.
        further: The same network at other thresholds, whose figures its evaluation reveals at no cost. Those thresholds
            are parameters of the space; all other parameters are the point's.
    """

    key: str
    metrics: Mapping[str, Measurement]
    exit_rates: Mapping[str, float] = field(default_factory=dict)
    thresholds: Mapping[str, float] = field(default_factory=dict)
    calibrations: Mapping[str, Calibration] = field(default_factory=dict)
    further: tuple[OperatingPoint, ...] = ()

    @property
    def points(self) -> tuple[OperatingPoint, ...]:
        """The network as proposed, then at the further thresholds."""
        means = {name: measurement.mean for name, measurement in self.metrics.items()}
        sems = {name: measurement.sem for name, measurement in self.metrics.items()}
        return OperatingPoint(means, sems, self.exit_rates, self.thresholds, self.calibrations), *self.further

    @property
    def raw_data(self) -> RawData:
        """`{metric: (mean, sem)}`, as `ax.api.Client.complete_trial` takes it."""
        return {name: (measurement.mean, measurement.sem) for name, measurement in self.metrics.items()}
