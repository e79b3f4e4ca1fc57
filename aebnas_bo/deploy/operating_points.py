"""Thresholds of a trained network: what they are tuned for, and what the network comes to at other budgets."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from aebnas_bo.analysis.selection import Selection, parse_tuned_limit
from aebnas_bo.analysis.tables import write_csv
from aebnas_bo.deploy.description import Figures
from aebnas_bo.deploy.network_figures import MeasuredSplit, figures_at
from aebnas_bo.early_exit.chances import tune_by_chances
from aebnas_bo.early_exit.exit_rule import ExitTable
from aebnas_bo.early_exit.outputs_in_use import END, outputs_in_use
from aebnas_bo.early_exit.threshold_tuning import TuningGoal
from aebnas_bo.errors import UsageError
from aebnas_bo.search.objectives import Objective
from aebnas_bo.search.trial import Observation
from aebnas_bo.space.macs import MACS_PER_MILLION, ExitCosts, millions

NUM_BUDGETS = 16
OPERATING_POINTS_FILE = "operating_points.csv"


@dataclass(frozen=True)
class BudgetPoint:
    """One network at the thresholds tuned for one budget.

    Args:
        budget: Average MACs in millions that the validation images were to stay within.
        thresholds: One per exit; `None` of one that is switched off or lies behind the end, 0 of one at which the
            network ends.
        validation: Figures on the images thresholds were tuned on.
        test: Figures on the test images.
    """

    budget: float
    thresholds: tuple[float | None, ...]
    validation: Figures
    test: Figures


def tuning_goal_of(selection: Selection, observed: Observation, objectives: Sequence[Objective]) -> TuningGoal:
    """Return what a trained network's thresholds are tuned for: the limit it was chosen by, else its own average MACs.

    Args:
        selection: How it was chosen.
        observed: The chosen observation.
        objectives: The study's objectives; a network stays within its limit of MACs.
    """
    if selection.kind == "accuracy":
        return TuningGoal("min_accuracy", selection.value)
    limits = [objective.limit for objective in objectives if objective.name == "average_macs" and objective.limit]
    most = selection.value if selection.kind == "macs" else observed.metrics["average_macs"]
    return TuningGoal("max_macs", MACS_PER_MILLION * min([most, *limits]))


def parse_goal(text: str) -> TuningGoal:
    """Read what thresholds are to be tuned for.

    Args:
        text: `macs<=X` (millions) or `accuracy>=Y` (percent).

    Raises:
        UsageError: If it is anything else, MACs of 0 or more than 100 percent.
    """
    limit = parse_tuned_limit(text)
    if limit.kind == "macs":
        return TuningGoal("max_macs", MACS_PER_MILLION * limit.value)
    return TuningGoal("min_accuracy", limit.value)


def check_goal(goal: TuningGoal, key: str, costs: ExitCosts) -> None:
    """Refuse average MACs below what a network costs where every image leaves at its cheapest output.

    Args:
        goal: What its thresholds are to be tuned for.
        key: The network.
        costs: Its MACs.

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
    """Say what a trained network's thresholds fall short of; nothing where they meet the goal.

    Args:
        goal: What they were tuned for.
        validation: What they come to on the images they were tuned on.
    """
    if goal.kind == "min_accuracy" and validation.accuracy < goal.value:
        return (
            f"no thresholds reach {goal.value:g} % of the validation images; they are set for as many as they can, "
            f"{validation.accuracy:.2f} %"
        )
    return ""


def tuned_with_margins(table: ExitTable, costs: ExitCosts, goal: TuningGoal) -> tuple[float | None, ...]:
    """Return the best thresholds for a goal, away from every certainty that occurs.

    Args:
        table: The network's table over the validation images.
        costs: Its MACs.
        goal: What counts.
    """
    tuned = tune_by_chances(table, backbone=costs.backbone, branches=costs.branches, goal=goal)
    return with_margins(table, costs, tuned.thresholds)


def operating_points(validation: MeasuredSplit, test: MeasuredSplit, costs: ExitCosts) -> list[BudgetPoint]:
    """Tune a network to budgets from its cheapest exit's cost to its whole one's, evenly on a logarithmic scale.

    The budgets depend on the architecture alone, so that trainings with several seeds can be averaged budget by budget.

    Args:
        validation: What thresholds are tuned on.
        test: What is only looked at.
        costs: The network's MACs.

    Returns:
        `NUM_BUDGETS` points, cheapest budget first; one of a network without exits.
    """
    cheapest, whole = min(costs.cumulative), costs.cumulative[-1]
    budgets = np.geomspace(cheapest, whole, NUM_BUDGETS) if cheapest < whole else np.array([whole])
    points = []
    for budget in budgets.round():
        thresholds = tuned_with_margins(validation.table, costs, TuningGoal("max_macs", float(budget)))
        on_validation, on_test = (figures_at(split, costs, thresholds) for split in (validation, test))
        points.append(BudgetPoint(millions(float(budget)), thresholds, on_validation, on_test))
    return points


def write_operating_points(path: Path, points: Sequence[BudgetPoint], costs: ExitCosts) -> None:
    """Write a row per budget; the threshold of an exit that is not run is empty, where the network ends it is 0.

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


def with_margins(table: ExitTable, costs: ExitCosts, thresholds: Sequence[float | None]) -> tuple[float | None, ...]:
    """Move each threshold half-way down to the next certainty that occurs: same answers, and rounding flips none.

    Where no number of single precision lies between the two, it stays at the upper one. The network ends where it did.

    Args:
        table: The network's table, all exits, that the thresholds were tuned on.
        costs: Its MACs.
        thresholds: One per exit, `None` of one that is switched off, 0 of one at which the network ends.
    """
    used = outputs_in_use(table, thresholds, backbone=costs.backbone, branches=costs.branches)
    moved: list[float | None] = [END if row == used.rows[-1] else None for row in range(len(thresholds))]
    certainty = used.table.certainty.double()
    for row, threshold, occurring in zip(used.rows, used.thresholds, certainty, strict=False):  # the last has none
        below, above = occurring[occurring < threshold], occurring[occurring >= threshold]
        low = float(below.max()) if len(below) else 0.0
        high = float(above.min()) if len(above) else 1.0
        middle = 0.5 * (low + high)
        is_apart = float(np.float32(middle)) > low or not len(below)  # in single precision, in which it is compared
        moved[row] = middle if is_apart else high
    return tuple(moved)
