"""What is shown and written of a short list."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rich.table import Table

from aebnas_bo.analysis.tables import write_csv
from aebnas_bo.early_exit.threshold_tuning import TuningGoal
from aebnas_bo.shortlist.rungs import Judgement
from aebnas_bo.space.macs import MACS_PER_MILLION

SHORTLIST_FILE = "shortlist.csv"
HEADER = [
    "rung", "epochs", "goal", "key", "estimated_accuracy", "accuracy", "average_macs", "behind", "behind_sem", "is_kept"
]  # fmt: skip


def goal_text(goal: TuningGoal) -> str:
    """Return a goal as it is written on the command line."""
    if goal.kind == "min_accuracy":
        return f"accuracy>={goal.value:g}"
    return f"macs<={goal.value / MACS_PER_MILLION:.4g}"


def write_shortlist(path: Path, judgements: Sequence[Judgement]) -> None:
    """Write a row per rung, goal and network; accuracies in percent of the validation images, MACs in millions."""
    rows = [
        [j.rung + 1, j.epochs, goal_text(j.goal), j.key, j.estimate, j.accuracy, j.average_macs, j.behind,
         j.behind_sem, int(j.is_kept)]
        for j in judgements
    ]  # fmt: skip
    write_csv(path, HEADER, rows)


def shortlist_table(judgements: Sequence[Judgement]) -> Table:
    """Return the last judgement of every network for each goal, best first."""
    table = Table(title="Short list, validation images", title_justify="left")
    for name in ("for", "network", "epochs", "estimate (%)", "trained (%)", "average MACs (M)", "behind (points)", ""):
        table.add_column(name, justify="left" if name in {"for", "network", ""} else "right")
    for goal in dict.fromkeys(judgement.goal for judgement in judgements):
        of_goal = {j.key: j for j in judgements if j.goal == goal}  # the last rung of each network
        table.add_section()
        for j in sorted(of_goal.values(), key=lambda one: (-one.rung, one.behind)):
            is_winner = j.is_kept and j.rung == max(one.rung for one in judgements)
            table.add_row(
                goal_text(goal), j.key, str(j.epochs), f"{j.estimate:.2f}", f"{j.accuracy:.2f}",
                f"{j.average_macs:.4f}", f"{j.behind:.2f} ± {j.behind_sem:.2f}", "chosen" if is_winner else "",
            )  # fmt: skip
    return table
