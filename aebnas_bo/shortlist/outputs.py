"""What is shown and written of a short list."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

from rich.table import Table

from aebnas_bo.analysis.tables import write_csv
from aebnas_bo.analysis.trained_point import TrainedPoint
from aebnas_bo.early_exit.threshold_tuning import TuningGoal
from aebnas_bo.errors import CorruptStateError
from aebnas_bo.shortlist.rungs import Judgement
from aebnas_bo.space.macs import MACS_PER_MILLION

SHORTLIST_FILE = "shortlist.csv"
HEADER = [
    "rung", "epochs", "goal", "key", "estimated_accuracy", "accuracy", "average_macs", "behind", "behind_sem",
    "is_met", "is_kept",
]  # fmt: skip


def goal_text(goal: TuningGoal) -> str:
    """Return a goal as it is written on the command line."""
    if goal.kind == "min_accuracy":
        return f"accuracy>={goal.value:g}"
    return f"macs<={goal.value / MACS_PER_MILLION:.6g}"


def judgement_row(judgement: Judgement) -> dict[str, object]:
    """Return a judgement by the names of `HEADER`; accuracies in percent, MACs in millions, rungs from 1."""
    values = [
        judgement.rung + 1, judgement.epochs, goal_text(judgement.goal), judgement.key, judgement.estimate,
        judgement.accuracy, judgement.average_macs, judgement.behind, judgement.behind_sem, int(judgement.is_met),
        int(judgement.is_kept),
    ]  # fmt: skip
    return dict(zip(HEADER, values, strict=True))


def write_shortlist(folder: Path, judgements: Sequence[Judgement]) -> None:
    """Write a row per rung, goal and network; rows that earlier short lists left for other goals stay.

    Args:
        folder: Folder of the short list.
        judgements: All judgements of the new short list.

    Raises:
        CorruptStateError: If the file there is damaged.
    """
    goals = {goal_text(judgement.goal) for judgement in judgements}
    earlier = [row for row in _read(folder) if row["goal"] not in goals]
    rows = [*earlier, *map(judgement_row, judgements)]
    write_csv(folder / SHORTLIST_FILE, HEADER, [[row[name] for name in HEADER] for row in rows])


def read_shortlist(folder: Path) -> list[TrainedPoint]:
    """Return the longest short training of each network for each goal; none where there is no short list.

    Args:
        folder: Folder of the short list.

    Raises:
        CorruptStateError: If the file is damaged.
    """
    last: dict[tuple[str, str], TrainedPoint] = {}
    for row in _read(folder):
        try:
            epochs, accuracy, macs = int(row["epochs"]), float(row["accuracy"]), float(row["average_macs"])
        except ValueError as error:
            raise _damaged(folder) from error
        last[row["goal"], row["key"]] = TrainedPoint(row["key"], epochs, False, accuracy, macs)
    return list(last.values())


def _read(folder: Path) -> list[dict[str, str]]:
    path = folder / SHORTLIST_FILE
    if not path.exists():
        return []
    try:
        with path.open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file, restval=""))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise _damaged(folder) from error
    if any(list(row) != HEADER for row in rows):
        raise _damaged(folder)
    return rows


def _damaged(folder: Path) -> CorruptStateError:
    return CorruptStateError(
        f"{folder / SHORTLIST_FILE} is damaged; delete it, and the command that trained the short list writes it again"
    )


def shortlist_table(judgements: Sequence[Judgement]) -> Table:
    """Return the last judgement of every network for each goal, best first."""
    table = Table(title="Short list, accuracies on the validation images", title_justify="left")
    for name in ("for", "network", "epochs", "estimate (%)", "trained (%)", "average MACs (M)", "behind (points)", ""):
        table.add_column(name, justify="left" if name in {"for", "network", ""} else "right", no_wrap=name == "network")
    last_rung = max((judgement.rung for judgement in judgements), default=0)
    for goal in dict.fromkeys(judgement.goal for judgement in judgements):
        of_goal = [judgement for judgement in judgements if judgement.goal == goal]
        by_rung = sorted(of_goal, key=lambda one: -one.rung)  # stable: within a rung the best is first
        last = {one.key: one for one in reversed(by_rung)}  # the longest training of each network
        table.add_section()
        for one in (one for one in by_rung if last[one.key] is one):
            note = "chosen" if one.is_kept and one.rung == last_rung else ""
            missed = "" if one.is_met else "misses the goal"
            table.add_row(
                goal_text(goal), one.key, str(one.epochs), f"{one.estimate:.2f}", f"{one.accuracy:.2f}",
                f"{one.average_macs:.4f}", f"{one.behind:.2f} ± {one.behind_sem:.2f}",
                ", ".join(filter(None, (note, missed))),
            )  # fmt: skip
    return table
