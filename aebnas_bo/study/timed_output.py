"""Output at the end of a run: trained networks and the next command."""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from aebnas_bo.analysis.table_layout import print_table
from aebnas_bo.deploy.description import NetworkDescription
from aebnas_bo.preparation.forecast import duration_text
from aebnas_bo.shortlist.shortlist_table import print_shortlist
from aebnas_bo.storage.run_folder import RunFolder
from aebnas_bo.study.timed_run import TimedResult


def print_timed(console: Console, result: TimedResult) -> None:
    """Print the short list, if there is one, and the trained networks; name those that are not worth their MACs.

    Args:
        console: Console to print to.
        result: Result of the run.
    """
    if result.is_brief:
        console.print("the search was brief: its estimates do not rank networks and are not shown")
    if result.rung_results:
        print_shortlist(console, result.rung_results)
    table = Table(title="Trained networks", title_justify="left")
    table.add_column("network")
    for name in ("validation (%)", "test (%)", "average MACs (M)", "worst case (M)", "exits", "epochs"):
        table.add_column(name, justify="right")
    for network in result.networks:
        table.add_row(
            network.key, f"{network.validation.accuracy:.2f}", f"{network.test.accuracy:.2f}",
            f"{network.test.average_macs:.4f}", f"{network.test.worst_case_macs:.4f}",
            str(len(network.outputs) - 1), str(network.origin.epochs),
        )  # fmt: skip
    print_table(console, table)
    for line in _not_worth_their_macs(result.networks):
        console.print(line, highlight=False, soft_wrap=True)
    console.print(f"{duration_text(result.seconds)} in all", highlight=False)


def _not_worth_their_macs(networks: Sequence[NetworkDescription]) -> list[str]:
    """Return a line for each network that is not more accurate on the validation images than a cheaper one."""
    lines = []
    for network in networks:
        figures = network.validation
        cheaper = [one for one in networks if one.validation.average_macs < figures.average_macs]
        best = max(cheaper, key=lambda one: one.validation.accuracy, default=None)
        if best is not None and best.validation.accuracy >= figures.accuracy:
            lines.append(
                f"{network.key} costs more than {best.key} and is not more accurate on the validation images: "
                f"{figures.accuracy:.2f} and {best.validation.accuracy:.2f} %"
            )
    return lines


def next_step(folder: RunFolder, result: TimedResult | None, *, has_front: bool) -> str:
    """Suggest the next command.

    Args:
        folder: The run folder.
        result: Result of the run, if it had a time budget.
        has_front: Whether a network meets the limits of the search.
    """
    path = shlex.quote(str(folder.path))
    if result is not None and result.networks:
        best = max(result.networks, key=lambda network: network.validation.accuracy)
        return f"next: aebnas-bo export {path} --select {best.key} --format onnx, or aebnas-bo report {path}"
    if not has_front:
        return f"next: aebnas-bo report {path}, which shows the networks nearest to the limits"
    return (
        f"next: aebnas-bo train {path} --shortlist 8, which trains the most promising networks briefly and the best "
        "of them fully"
    )
