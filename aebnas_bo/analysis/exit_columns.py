"""Columns of tables for exit rates, thresholds and calibrations."""

from __future__ import annotations

from aebnas_bo.estimation.estimate import calibration_columns
from aebnas_bo.search.trial import Observation
from aebnas_bo.space.network_space import NetworkSpace, threshold_name


def exit_columns(space: NetworkSpace, has_calibrations: bool) -> tuple[str, ...]:
    """Return the column names of a space: exit rates, tuned thresholds, then calibrations.

    Args:
        space: The network space.
        has_calibrations: Whether outputs are calibrated.
    """
    *exits, final = space.output_names
    thresholds = [name for name in map(threshold_name, range(len(exits))) if name not in space.search_space.names]
    calibrations = [name for output in (*exits, final) for name in calibration_columns(output) if has_calibrations]
    return (*(f"{output}_rate" for output in (*exits, final)), *thresholds, *calibrations)


def exit_figures(observed: Observation) -> dict[str, float]:
    """Return exit rates, calibrations and tuned thresholds by column name."""
    return {name: value for name, value in observed.point.exit_figures.items() if name not in observed.parameters}
