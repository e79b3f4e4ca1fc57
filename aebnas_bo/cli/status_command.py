"""`aebnas-bo status`: print the status of a search."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text

from aebnas_bo.cli.options import JsonOption, read_path
from aebnas_bo.cli.reporting import reported_errors, show
from aebnas_bo.storage.run_folder import RunFolder
from aebnas_bo.storage.shared_study import is_database_url


def status(
    run: Annotated[str, typer.Argument(metavar="RUN", help="Folder of a search, or URL of a database with --study.")],
    study: Annotated[
        str | None, typer.Option(help="Number or name of a study in a database; see `aebnas-bo studies URL`.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Print the status of a search, which may be running; its folder is not changed."""
    is_url = is_database_url(run)
    folder = None if is_url else RunFolder(read_path(run))
    if study is not None and not is_url:
        raise typer.BadParameter("needs the URL of a database instead of a run folder", param_hint="--study")
    with reported_errors(as_json, quiet=False, way_on="Ask again."):
        from aebnas_bo.report.status import run_status, status_rows
        from aebnas_bo.report.stored_run import read_run, read_shared_run
        from aebnas_bo.search.study_list import find_study

        found = run_status(read_shared_run(find_study(run, study)) if folder is None else read_run(folder))
        table = Table.grid(padding=(0, 2))
        for name, text in status_rows(found):
            table.add_row(Text(name, style="bold"), text)
        show(asdict(found), lambda stdout: stdout.print(table, highlight=False), as_json=as_json, width=200)
