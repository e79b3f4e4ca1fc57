"""Tuning goals of a trained network, and its operating points at other budgets."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from aebnas_bo.analysis.selection import Selection, parse_tuned_limit
from aebnas_bo.analysis.tables import write_csv
from aebnas_bo.deploy.description import Figures
from aebnas_bo.deploy.network_figures import MeasuredSplit, figures_at
from aebnas_bo.early_exit.exit_rule import ExitTable
from aebnas_bo.early_exit.expected_accuracy import tune_by_expected_accuracy
from aebnas_bo.early_exit.outputs_in_use import END, outputs_in_use
from aebnas_bo.early_exit.threshold_tuning import TuningGoal
from aebnas_bo.errors import CorruptStateError, UsageError
from aebnas_bo.search.objectives import Objective
from aebnas_bo.search.trial import Observation
from aebnas_bo.space.macs import MACS_PER_MILLION, ExitCosts, millions
from aebnas_bo.storage.regular_files import read_regular

NUM_BUDGETS = 16
OPERATING_POINTS_FILE = "operating_points.csv"
CURVE = ("validation_average_macs", "validation_accuracy")  # columns that figures show
MOST_BYTES = 1 << 20


@dataclass(frozen=True)
class BudgetPoint:
    """Operating point of a network, tuned for one budget.

    Args:
        budget: Limit of average MACs in millions on the validation images.
        thresholds: One per exit; `None` for exits that are switched off or lie behind the end of the network, 0 for an
            exit at which the network ends.
        validation: Figures on the validation images, on which thresholds were tuned.
        test: Figures on the test images.
    """

    budget: float
    thresholds: tuple[float | None, ...]
    validation: Figures
    test: Figures


def tuning_goal_of(selection: Selection, observed: Observation, objectives: Sequence[Objective]) -> TuningGoal:
    """Return the tuning goal of a trained network: the limit it was selected by, or else its own average MACs.

    Args:
        selection: Selection of the network.
        observed: The selected observation.
        objectives: The study's objectives; the goal respects their limit of MACs.
    """
    if selection.kind == "accuracy":
        return TuningGoal("min_accuracy", selection.value)
    limits = [objective.limit for objective in objectives if objective.name == "average_macs" and objective.limit]
    most = selection.value if selection.kind == "macs" else observed.metrics["average_macs"]
    return TuningGoal("max_macs", MACS_PER_MILLION * min([most, *limits]))


def parse_goal(text: str) -> TuningGoal:
    """Parse a tuning goal.

    Args:
        text: `macs<=X` (millions) or `accuracy>=Y` (percent).

    Raises:
        UsageError: If the text is invalid, the MACs are 0 or the accuracy is above 100 percent.
    """
    limit = parse_tuned_limit(text)
    if limit.kind == "macs":
        return TuningGoal("max_macs", MACS_PER_MILLION * limit.value)
    return TuningGoal("min_accuracy", limit.value)


def check_goal(goal: TuningGoal, key: str, costs: ExitCosts) -> None:
    """Check that a network can meet a limit of average MACs, with every image leaving at its cheapest output.

    Args:
        goal: Goal of threshold tuning.
        key: Key of the network.
        costs: MACs of the network.

    Raises:
        UsageError: If no thresholds can meet the goal.
    """
    least = min(costs.cumulative_without_earlier_branches)  # the other exits can be switched off
    if goal.kind == "max_macs" and round(goal.value) < least:
        raise UsageError(
            f"--tune-for macs<={millions(goal.value):g}: network {key} takes {millions(least):.6f} M "
            "even where every image leaves at its cheapest output; give at least that or choose another network"
        )


def remark_on_goal(goal: TuningGoal, validation: Figures) -> str:
    """Return a note on the goal that the tuned thresholds miss; empty if they meet it.

    Args:
        goal: Goal of threshold tuning.
        validation: Figures on the validation images.
    """
    if goal.kind == "min_accuracy" and validation.accuracy < goal.value:
        return (
            f"no thresholds reach {goal.value:g} % of the validation images; they are set for as many as they can, "
            f"{validation.accuracy:.2f} %"
        )
    return ""


def tuned_with_margins(table: ExitTable, costs: ExitCosts, goal: TuningGoal) -> tuple[float | None, ...]:
    """Tune thresholds for a goal, and move them away from all confidences that occur.

    Args:
        table: The network's exit table over the validation images.
        costs: MACs of the network.
        goal: Goal of threshold tuning.
    """
    tuned = tune_by_expected_accuracy(table, backbone=costs.backbone, branches=costs.branches, goal=goal)
    return with_margins(table, costs, tuned.thresholds)


def operating_points(
    validation: MeasuredSplit, test: MeasuredSplit, costs: ExitCosts, *, price: float = 0.0
) -> list[BudgetPoint]:
    """Tune a network for budgets between the costs of its cheapest exit and of the whole network, on a log scale.

    The budgets depend only on the architecture, so that trainings with several seeds can be averaged per budget.

    Args:
        validation: Predictions on the validation images, for tuning.
        test: Predictions on the test images, for measurement only.
        costs: The network's MACs.
        price: Price of MACs; see `TuningGoal`.

    Returns:
        `NUM_BUDGETS` points, cheapest budget first; a single point for a network without exits.
    """
    cheapest, whole = min(costs.cumulative), costs.cumulative[-1]
    budgets = np.geomspace(cheapest, whole, NUM_BUDGETS) if cheapest < whole else np.array([whole])
    points = []
    for budget in budgets.round():
        thresholds = tuned_with_margins(validation.table, costs, TuningGoal("max_macs", float(budget), price))
        on_validation, on_test = (figures_at(split, costs, thresholds) for split in (validation, test))
        points.append(BudgetPoint(millions(float(budget)), thresholds, on_validation, on_test))
    return points


def write_operating_points(path: Path, points: Sequence[BudgetPoint], costs: ExitCosts) -> None:
    """Write a row per budget; the threshold is empty for exits that are not run, and 0 where the network ends.

    Args:
        path: CSV file to write.
        points: The points of one network.
        costs: Its MACs, which name its exits.
    """
    header = [
        "budget", *(f"exit{position + 1}_threshold" for position in costs.exits), "validation_accuracy",
        "validation_average_macs", "test_accuracy", "test_accuracy_sem", "test_average_macs",
        "test_average_macs_without_passed", "test_worst_case_macs",
    ]  # fmt: skip
    rows = [
        [
            point.budget, *point.thresholds, point.validation.accuracy, point.validation.average_macs,
            point.test.accuracy, point.test.accuracy_sem, point.test.average_macs,
            point.test.average_macs_without_passed, point.test.worst_case_macs,
        ]
        for point in points
    ]  # fmt: skip
    write_csv(path, header, rows)


def read_curve(path: Path) -> tuple[tuple[float, float], ...]:
    """Return average MACs in millions and accuracy on the validation images at each operating point of a file.

    Args:
        path: The file; nothing is returned if it does not exist.

    Raises:
        CorruptStateError: If it is damaged.
    """
    if not path.exists():
        return ()
    try:
        rows = csv.DictReader(io.StringIO(read_regular(path, MOST_BYTES).decode("utf-8"), newline=""))
        macs, accuracies = zip(*([float(row[name]) for name in CURVE] for row in rows), strict=True)
    except (OSError, ValueError, KeyError, TypeError, csv.Error) as error:
        raise CorruptStateError(f"{path} is damaged; delete it, and the figures leave it out") from error
    return tuple(zip(macs, accuracies, strict=True))


def with_margins(table: ExitTable, costs: ExitCosts, thresholds: Sequence[float | None]) -> tuple[float | None, ...]:
    """Move each threshold half-way down to the next confidence that occurs, so that rounding cannot change exits.

    A threshold stays if no float32 number lies between the two confidences. The last output of the network stays too.

    Args:
        table: The network's exit table, with all exits, that the thresholds were tuned on.
        costs: MACs of the network.
        thresholds: One per exit, `None` for exits that are switched off, 0 for an exit at which the network ends.
    """
    used = outputs_in_use(table, thresholds, backbone=costs.backbone, branches=costs.branches)
    moved: list[float | None] = [END if row == used.rows[-1] else None for row in range(len(thresholds))]
    certainty = used.table.certainty.double()
    for row, threshold, occurring in zip(used.rows, used.thresholds, certainty, strict=False):  # the last has none
        below, above = occurring[occurring < threshold], occurring[occurring >= threshold]
        low = float(below.max()) if len(below) else 0.0
        high = float(above.min()) if len(above) else 1.0
        middle = 0.5 * (low + high)
        is_apart = float(np.float32(middle)) > low or not len(below)  # float32, as in the comparison
        moved[row] = middle if is_apart else high
    return tuple(moved)
