"""`aebnas-bo status`: print the status of a search."""

from __future__ import annotations

from dataclasses import asdict

from rich.table import Table
from rich.text import Text

from aebnas_bo.cli.options import (
    JsonOption,
    RunArgument,
)
from aebnas_bo.cli.reporting import reported_errors, show


def status(run: RunArgument, as_json: JsonOption = False) -> None:
    """Print the status of a search, which may be running; its folder is not changed."""
    with reported_errors(as_json, quiet=False, way_on="Ask again."):
        from aebnas_bo.report.status import run_status, status_rows
        from aebnas_bo.report.stored_run import read_run
        from aebnas_bo.storage.run_folder import RunFolder

        found = run_status(read_run(RunFolder(run)))
        table = Table.grid(padding=(0, 2))
        for name, text in status_rows(found):
            table.add_row(Text(name, style="bold"), text)
        show(asdict(found), lambda stdout: stdout.print(table, highlight=False), as_json=as_json, width=200)
