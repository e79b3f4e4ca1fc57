"""Result of one evaluation, in natural units."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from aebnas_bo.early_exit.calibrated_output import Calibration

RawData = dict[str, tuple[float, float]]


@dataclass(frozen=True)
class Measurement:
    """Mean of a metric and its standard error (0 if the mean is exact)."""

    mean: float
    sem: float = 0.0


@dataclass(frozen=True)
class OperatingPoint:
    """Metrics of a network at given thresholds; without exits, only its metrics.

    Args:
        metrics: Mean of each metric.
        sems: Standard error of each metric.
        exit_rates: Fraction of images that leave at each output: `exit1`, `exit2` ... and `final`.
        thresholds: Threshold of each active exit, by parameter name.
        calibrations: Calibration of each output; empty without temperature scaling.
    """

    metrics: Mapping[str, float]
    sems: Mapping[str, float]
    exit_rates: Mapping[str, float] = field(default_factory=dict)
    thresholds: Mapping[str, float] = field(default_factory=dict)
    calibrations: Mapping[str, Calibration] = field(default_factory=dict)

    @property
    def exit_figures(self) -> dict[str, float]:
        """Exit rates, calibrations and thresholds, by column name."""
        figures = {f"{output}_rate": rate for output, rate in self.exit_rates.items()}
        for output, one in self.calibrations.items():
            values = (one.temperature, one.error_before, one.error_after)
            figures |= dict(zip(calibration_columns(output), values, strict=True))
        return {**figures, **self.thresholds}


def calibration_columns(output: str) -> tuple[str, str, str]:
    """Return the column names of an output's temperature and of its calibration error before and after scaling."""
    return f"{output}_temperature", f"{output}_calibration_error_before", f"{output}_calibration_error_after"


@dataclass(frozen=True)
class Estimate:
    """Result of one evaluation; an estimator without exits sets only key and metrics.

    Args:
        key: Key of the architecture.
        metrics: Measurement of each metric by name.
        exit_rates: See `OperatingPoint`.
        thresholds: See `OperatingPoint`.
        calibrations: See `OperatingPoint`.
        further: Further operating points of the network, which the evaluation yields at no extra cost. They differ from
            the point only in thresholds that are parameters of the space.
    """

    key: str
    metrics: Mapping[str, Measurement]
    exit_rates: Mapping[str, float] = field(default_factory=dict)
    thresholds: Mapping[str, float] = field(default_factory=dict)
    calibrations: Mapping[str, Calibration] = field(default_factory=dict)
    further: tuple[OperatingPoint, ...] = ()

    @property
    def points(self) -> tuple[OperatingPoint, ...]:
        """The proposed operating point, followed by the further ones."""
        means = {name: measurement.mean for name, measurement in self.metrics.items()}
        sems = {name: measurement.sem for name, measurement in self.metrics.items()}
        return OperatingPoint(means, sems, self.exit_rates, self.thresholds, self.calibrations), *self.further

    @property
    def raw_data(self) -> RawData:
        """`{metric: (mean, sem)}`, the format of `ax.api.Client.complete_trial`."""
        return {name: (measurement.mean, measurement.sem) for name, measurement in self.metrics.items()}
