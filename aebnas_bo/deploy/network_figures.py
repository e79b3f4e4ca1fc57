"""Figures of a network on one split at given thresholds: accuracy, costs and the figures of each exit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from aebnas_bo.deploy.description import FINAL, Figures, OutputFigures
from aebnas_bo.deploy.per_class_accuracy import class_predictions
from aebnas_bo.early_exit.calibration import calibration_error
from aebnas_bo.early_exit.exit_ensemble import NO_ENSEMBLE, ExitEnsemble
from aebnas_bo.early_exit.exit_rule import (
    ExitOutcome,
    ExitPath,
    ExitTable,
    evaluate_thresholds,
    exit_indices,
    outcomes_by_output,
)
from aebnas_bo.early_exit.outputs_in_use import OutputsInUse, outputs_in_use, paths_to
from aebnas_bo.early_exit.settings import ConfidenceName
from aebnas_bo.space.macs import ExitCosts, millions


@dataclass(frozen=True, eq=False)  # tensors have no single truth of equality
class MeasuredSplit:
    """Predictions of a network on the `B` images of one split.

    Args:
        table: Its exit table over all images and outputs.
        labels: True classes, `B`.
        outputs: Logits of each of the `E` outputs, divided by temperatures if temperature scaling is on; `B x K`, or
            `B x (K + 1)` with learned confidence.
        confidence: Confidence measure.
        ensemble: Weights by which outputs predict together with the exits before them.
    """

    table: ExitTable
    labels: Tensor
    outputs: Sequence[Tensor]
    confidence: ConfidenceName
    ensemble: ExitEnsemble = NO_ENSEMBLE
    _errors: dict[ExitPath, float] = field(default_factory=dict, init=False, repr=False)

    @property
    def num_classes(self) -> int:
        """Number of classes, `K`."""
        return self.outputs[-1].shape[-1]

    def predictions(self, path: ExitPath) -> Tensor:
        """Return the class of each image that leaves at the end of a path, `B`."""
        return self.ensemble.logits(self.outputs, path)[:, : self.num_classes].argmax(dim=-1)

    def calibration_error(self, path: ExitPath) -> float:
        """Return the expected calibration error in percent at the end of a path, over all images."""
        if path not in self._errors:
            self._errors[path] = calibration_error(
                self.ensemble.logits(self.outputs, path),
                self.labels,
                name=self.confidence,
                num_classes=self.num_classes,
            )
        return self._errors[path]


@dataclass(frozen=True, eq=False)  # tensors have no single truth of equality
class NetworkOutcome:
    """Accuracy and costs of a network at its thresholds.

    Args:
        used: The outputs in use.
        outcome: Accuracy, MACs and exit rates.
        macs_without_passed: Mean MACs per image without the branches of earlier exits.
    """

    used: OutputsInUse
    outcome: ExitOutcome
    macs_without_passed: float

    @property
    def average_macs(self) -> float:
        """Mean MACs per image in millions, including the branches of earlier exits."""
        return millions(self.outcome.average_macs)

    @property
    def average_macs_without_passed(self) -> float:
        """Mean MACs per image in millions without the branches of earlier exits (NACHOS, EDANAS)."""
        return millions(self.macs_without_passed)

    @property
    def worst_case_macs(self) -> float:
        """MACs in millions of an image that does not exit early."""
        return millions(self.used.table.macs[-1])


def network_outcome(table: ExitTable, costs: ExitCosts, thresholds: Sequence[float | None]) -> NetworkOutcome:
    """Evaluate a network at its thresholds.

    Args:
        table: Its exit table over `B` images and all `E` outputs.
        costs: MACs of the network.
        thresholds: One per exit, `E - 1`; `None` for an exit that is switched off, 0 for one at which the network ends.
    """
    used = outputs_in_use(table, thresholds, backbone=costs.backbone, branches=costs.branches)
    without_passed = replace(used.table, macs=macs_without_passed(costs, used.rows))
    return NetworkOutcome(
        used,
        evaluate_thresholds(used.table, used.thresholds),
        evaluate_thresholds(without_passed, used.thresholds).average_macs,
    )


def figures_at(measured: MeasuredSplit, costs: ExitCosts, thresholds: Sequence[float | None]) -> Figures:
    """Evaluate a network at its thresholds.

    Args:
        measured: Its predictions on `B` images at all `E` outputs.
        costs: MACs of the network.
        thresholds: One per exit, `E - 1`; `None` for an exit that is switched off, 0 for one at which the network ends.
    """
    network = network_outcome(measured.table, costs, thresholds)
    rows, table, kept = network.used.rows, network.used.table, network.used.thresholds
    paths = paths_to(rows)
    errors = [measured.calibration_error(path) for path in paths]
    found = zip(output_names(costs, rows), outcomes_by_output(table, kept), errors, strict=True)
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
    predicted = torch.stack([measured.predictions(path) for path in paths])
    predictions = predicted.gather(0, exit_indices(table.certainty, kept)[None])[0]
    return Figures(
        images=table.confidence.shape[1],
        accuracy=network.outcome.accuracy,
        accuracy_sem=network.outcome.accuracy_sem,
        average_macs=network.average_macs,
        average_macs_without_passed=network.average_macs_without_passed,
        worst_case_macs=network.worst_case_macs,
        outputs=tuple(outputs),
        by_class=class_predictions(measured.labels, predictions, measured.num_classes),
    )


def output_names(costs: ExitCosts, rows: Sequence[int]) -> list[str]:
    """Return the names of the outputs in use: `exit1` ... by position in the space, or `final`."""
    names = [*(f"exit{position + 1}" for position in costs.exits), FINAL]
    return [names[row] for row in rows]


def macs_without_passed(costs: ExitCosts, rows: Sequence[int]) -> tuple[int, ...]:
    """Return the MACs of leaving at each output in use, without the branches of earlier exits."""
    return tuple(costs.cumulative_without_earlier_branches[row] for row in rows)


def tracked_figures(validation: Figures, test: Figures) -> dict[str, float]:
    """Return the figures of a trained network for trackers, by name.

    Args:
        validation: Figures on the validation images.
        test: Figures on the test images.
    """
    found: dict[str, float] = {}
    for split, figures in (("validation", validation), ("test", test)):
        found |= {f"{split}/accuracy": figures.accuracy, f"{split}/average_macs": figures.average_macs}
        for output in figures.outputs:
            found |= {
                f"{split}/{output.name}/accuracy": output.accuracy,
                f"{split}/{output.name}/exit_rate": output.exit_rate,
            }
    return found
