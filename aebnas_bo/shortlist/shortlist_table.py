"""Tables and files of a short list."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table
from scipy import stats

from aebnas_bo.analysis.table_layout import print_table
from aebnas_bo.analysis.tables import write_csv
from aebnas_bo.deploy.shortlist_file import HEADER, SHORTLIST_FILE, read_rows
from aebnas_bo.early_exit.threshold_tuning import TuningGoal
from aebnas_bo.shortlist.rungs import RungResult
from aebnas_bo.space.macs import millions
from aebnas_bo.storage.checked_rows import CHECK, checked_row

LEAST_RANKED, TOO_LITTLE = 4, 0.3  # networks; Kendall tau


def goal_text(goal: TuningGoal) -> str:
    """Format a goal as on the command line."""
    if goal.kind == "min_accuracy":
        return f"accuracy>={goal.value:g}"
    return f"macs<={millions(goal.value):.6g}"


def rung_result_row(one: RungResult) -> dict[str, object]:
    """Return an evaluation as a row with the columns of `HEADER`; accuracies in percent, MACs in millions."""
    values = [
        one.rung + 1, one.epochs, goal_text(one.goal), one.key, one.estimate,
        one.accuracy, one.average_macs, one.behind, one.behind_sem, int(one.is_met),
        int(one.is_kept), one.origin,
    ]  # fmt: skip
    return dict(zip(HEADER, values, strict=True))


def ranking_text(rung_results: Sequence[RungResult]) -> str:
    """Return a note on the rank correlation of estimates with the first rung, for the highest budget.

    Args:
        rung_results: All results of a short list.

    Returns:
        The note; empty for fewer than four networks or equal figures.
    """
    first = [one for one in rung_results if one.rung == 0 and one.goal == rung_results[-1].goal]
    estimates, macs, trained = zip(*((one.estimate, one.average_macs, one.accuracy) for one in first), strict=True)
    if len(first) < LEAST_RANKED or any(len(set(values)) == 1 for values in (estimates, macs, trained)):
        return ""
    tau, of_macs = (float(stats.kendalltau(values, trained).statistic) for values in (estimates, macs))
    advice = "" if tau > TOO_LITTLE else "; the supernet needs longer training to rank networks"
    goal = goal_text(first[0].goal)
    return (
        f"ranking of {len(first)} short trainings, {goal}: Kendall tau of the estimates {tau:.2f}, of average MACs "
        f"alone {of_macs:.2f}{advice}"
    )


def print_shortlist(console: Console, rung_results: Sequence[RungResult]) -> None:
    """Show a short list: its table, then how well the estimates rank it.

    Args:
        console: Console to print to.
        rung_results: All results of the short list.
    """
    print_table(console, shortlist_table(rung_results))
    if ranking := ranking_text(rung_results):
        console.print(ranking, highlight=False, soft_wrap=True)


def write_shortlist(folder: Path, rung_results: Sequence[RungResult]) -> None:
    """Write a row per rung, goal and network; rows of earlier short lists for other goals are kept.

    Args:
        folder: Folder of the short list.
        rung_results: All results of the new short list.

    Raises:
        CorruptStateError: If the file there is damaged.
    """
    goals = {goal_text(rung_result.goal) for rung_result in rung_results}
    earlier = [row for row in read_rows(folder) if row["goal"] not in goals]
    rows: list[Mapping[str, object]] = [*earlier, *map(rung_result_row, rung_results)]
    write_csv(folder / SHORTLIST_FILE, [*HEADER, CHECK], [checked_row(list(row.values())) for row in rows])


def shortlist_table(rung_results: Sequence[RungResult]) -> Table:
    """Return the last result of every network for each goal, best first."""
    table = Table(title="Short list, accuracies on the validation images", title_justify="left")
    texts = {"for", "network", "listed by", ""}
    figures = ("epochs", "estimate (%)", "trained (%)", "average MACs (M)", "behind (points)")
    for name in ("for", "network", "listed by", *figures, ""):
        table.add_column(name, justify="left" if name in texts else "right", no_wrap=name == "network")
    last_rung = max((rung_result.rung for rung_result in rung_results), default=0)
    for goal in dict.fromkeys(rung_result.goal for rung_result in rung_results):
        of_goal = [rung_result for rung_result in rung_results if rung_result.goal == goal]
        by_rung = sorted(of_goal, key=lambda one: -one.rung)  # stable: within a rung the best is first
        last = {one.key: one for one in reversed(by_rung)}  # the longest training of each network
        table.add_section()
        for one in (one for one in by_rung if last[one.key] is one):
            note = "chosen" if one.is_kept and one.rung == last_rung else ""
            missed = "" if one.is_met else "misses the goal"
            table.add_row(
                goal_text(goal), one.key, one.origin, str(one.epochs), f"{one.estimate:.2f}", f"{one.accuracy:.2f}",
                f"{one.average_macs:.4f}", f"{one.behind:.2f} ± {one.behind_sem:.2f}",
                ", ".join(filter(None, (note, missed))),
            )  # fmt: skip
    return table
