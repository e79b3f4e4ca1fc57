"""The sub-commands that look at a run and leave it as it is: `report` and `status`."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from aebnas_bo.cli.deploy_commands import RunArgument
from aebnas_bo.cli.run_command import JsonOption, reported_errors

SelectOption = Annotated[
    list[str] | None,
    typer.Option(
        "--select",
        help="Network to show in detail: knee, best-accuracy, macs<=X (millions), latency<=X (milliseconds), "
        "accuracy>=Y (percent) or a key; repeatable.",
    ),
]


def report(
    run: RunArgument,
    out: Annotated[Path | None, typer.Option(help="File to write; by default report.html in the run folder.")] = None,
    selections: SelectOption = None,
    as_json: JsonOption = False,
) -> None:
    """Write one page that shows what a search has found, to be opened in any browser, without a network."""
    with reported_errors(as_json, quiet=False, way_on="The same command writes the page."):
        from aebnas_bo.analysis.selection import parse_selection
        from aebnas_bo.report.contents import gather
        from aebnas_bo.report.page import write_report
        from aebnas_bo.report.stored_run import read_run
        from aebnas_bo.storage.run_folder import RunFolder

        wanted = [parse_selection(text) for text in selections or []]
        contents = gather(read_run(RunFolder(run)), wanted)
        path = write_report(contents, out)
        if as_json:
            chosen = contents.networks.chosen if contents.networks is not None else ()
            keys = [{"title": network.title, "key": network.trial.key} for network in chosen]
            sys.stdout.write(json.dumps({"folder": str(run), "report": str(path), "chosen": keys}) + "\n")
            return
        Console().print(str(path), highlight=False, soft_wrap=True, markup=False)


def status(run: RunArgument, as_json: JsonOption = False) -> None:
    """Say where a search stands, also while it runs; nothing in its folder is touched."""
    with reported_errors(as_json, quiet=False, way_on="Ask again."):
        from aebnas_bo.report.status import run_status, status_rows
        from aebnas_bo.report.stored_run import read_run
        from aebnas_bo.storage.run_folder import RunFolder

        found = run_status(read_run(RunFolder(run)))
        if as_json:
            sys.stdout.write(json.dumps(asdict(found), allow_nan=False) + "\n")
            return
        table = Table.grid(padding=(0, 2))
        for name, text in status_rows(found):
            table.add_row(f"[bold]{name}[/]", escape(text))
        stdout = Console()
        if not stdout.is_terminal:
            stdout = Console(width=200)
        stdout.print(table, highlight=False)
