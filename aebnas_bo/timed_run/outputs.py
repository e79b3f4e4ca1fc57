"""What a run shows at its end: the trained networks, if it trained any, and what to do next."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table

from aebnas_bo.run_folder import RunFolder
from aebnas_bo.shortlist.outputs import shortlist_table
from aebnas_bo.timed_run.duration import duration_text
from aebnas_bo.timed_run.run import TimedResult


def print_timed(console: Console, result: TimedResult) -> None:
    """Show short list and trained networks.

    Args:
        console: Where to.
        result: The run.
    """
    console.print(shortlist_table(result.judgements))
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
    console.print(table)
    console.print(f"{duration_text(result.seconds)} in all", highlight=False)


def next_step(folder: RunFolder, result: TimedResult | None) -> str:
    """Return the command that a user will want next.

    Args:
        folder: The run folder.
        result: The run, if it had a time budget.
    """
    if result is None or not result.networks:
        return f"next: aebnas-bo train {folder.path} --select knee, which trains a network of the front to the end"
    best = max(result.networks, key=lambda network: network.validation.accuracy)
    return f"next: aebnas-bo export {folder.path} --select {best.key} --format onnx, or aebnas-bo report {folder.path}"
