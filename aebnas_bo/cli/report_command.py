"""`aebnas-bo report`: write the results of a search as one page."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from aebnas_bo.cli.options import (
    JsonOption,
    RunArgument,
    read_path,
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
    out: Annotated[
        Path | None,
        typer.Option(parser=read_path, metavar="PATH", help="File to write; by default report.html in the run folder."),
    ] = None,
    selections: SelectionsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Write the results of a search as one page for any browser; it works offline."""
    with reported_errors(as_json, quiet=False, way_on="The same command writes the page."):
        from aebnas_bo.analysis.selection import parse_selection, select
        from aebnas_bo.report.stored_run import read_run
        from aebnas_bo.storage.run_folder import RunFolder, make_folder_of

        wanted = [parse_selection(text) for text in selections or []]
        if out is not None:
            make_folder_of(out)
        stored = read_run(RunFolder(run))
        for selection in wanted:  # before importing PyTorch, to report errors fast
            select(stored.trials, stored.study.objectives, selection)

        from aebnas_bo.report.contents import gather
        from aebnas_bo.report.page import write_report

        contents = gather(stored, wanted)
        path = write_report(contents, out)
        chosen = contents.networks.chosen if contents.networks is not None else ()
        keys = [{"title": network.title, "key": network.observed.key} for network in chosen]
        show(
            {"folder": str(run), "report": str(path), "chosen": keys},
            lambda stdout: stdout.print(str(path), highlight=False, soft_wrap=True, markup=False),
            as_json=as_json,
        )
