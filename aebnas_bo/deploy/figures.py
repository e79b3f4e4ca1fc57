"""What a network comes to on one split at given thresholds: accuracy, costs and what each exit is worth."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from aebnas_bo.deploy.description import FINAL, Figures, OutputFigures
from aebnas_bo.early_exit.policy import ExitTable, evaluate_thresholds, outcomes_by_output
from aebnas_bo.early_exit.threshold_tuning import keep_exits
from aebnas_bo.space.macs import MACS_PER_MILLION, ExitCosts


def figures_at(
    measured: ExitTable,
    costs: ExitCosts,
    thresholds: Sequence[float | None],
    calibration_errors: Sequence[float],
) -> Figures:
    """Evaluate a network at its thresholds.

    Args:
        measured: Its table over `B` images, all `E` outputs.
        costs: Its MACs.
        thresholds: One per exit, `E - 1`; `None` of one that is switched off.
        calibration_errors: Of each of the `E` outputs, in percent.
    """
    is_kept = [threshold is not None for threshold in thresholds]
    table = keep_exits(measured, costs.backbone, costs.branches, is_kept)
    kept = [threshold for threshold in thresholds if threshold is not None]
    outcome = evaluate_thresholds(table, kept)
    without_passed = evaluate_thresholds(replace(table, macs=macs_without_passed(costs, is_kept)), kept)
    errors = [error for error, is_on in zip(calibration_errors, [*is_kept, True], strict=True) if is_on]
    found = zip(output_names(costs, is_kept), outcomes_by_output(table, kept), errors, strict=True)
    outputs = [
        OutputFigures(
            name=name,
            exit_rate=one.exit_rate,
            accuracy=one.accuracy,
            accuracy_of_leaving=one.accuracy_of_leaving,
            calibration_error=error,
        )
        for name, one, error in found
    ]
    return Figures(
        images=table.confidence.shape[1],
        accuracy=outcome.accuracy,
        accuracy_sem=outcome.accuracy_sem,
        average_macs=outcome.average_macs / MACS_PER_MILLION,
        average_macs_without_passed=without_passed.average_macs / MACS_PER_MILLION,
        worst_case_macs=table.macs[-1] / MACS_PER_MILLION,
        outputs=tuple(outputs),
    )


def output_names(costs: ExitCosts, is_kept: Sequence[bool]) -> list[str]:
    """Return the names of the outputs in use: `exit1` ... by position in the space, and `final`."""
    exits = [f"exit{position + 1}" for position, is_on in zip(costs.exits, is_kept, strict=True) if is_on]
    return [*exits, FINAL]


def macs_without_passed(costs: ExitCosts, is_kept: Sequence[bool]) -> tuple[int, ...]:
    """Return what leaving at each output in use costs if only its own branch is charged."""
    own = zip(costs.cumulative_without_earlier_branches, [*is_kept, True], strict=True)
    return tuple(macs for macs, is_on in own if is_on)
