"""`aebnas-bo report`: one page that shows what a search has found."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from aebnas_bo.cli.options import (
    JsonOption,
    RunArgument,
)
from aebnas_bo.cli.reporting import reported_errors, show

SelectionsOption = Annotated[
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
    selections: SelectionsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Write one page that shows what a search has found, to be opened in any browser, without a network."""
    with reported_errors(as_json, quiet=False, way_on="The same command writes the page."):
        from aebnas_bo.analysis.selection import parse_selection
        from aebnas_bo.report.contents import gather
        from aebnas_bo.report.page import check_place, write_report
        from aebnas_bo.report.stored_run import read_run
        from aebnas_bo.storage.run_folder import RunFolder

        wanted = [parse_selection(text) for text in selections or []]
        if out is not None:
            check_place(out)
        contents = gather(read_run(RunFolder(run)), wanted)
        path = write_report(contents, out)
        chosen = contents.networks.chosen if contents.networks is not None else ()
        keys = [{"title": network.title, "key": network.observed.key} for network in chosen]
        show(
            {"folder": str(run), "report": str(path), "chosen": keys},
            lambda stdout: stdout.print(str(path), highlight=False, soft_wrap=True, markup=False),
            as_json=as_json,
        )
