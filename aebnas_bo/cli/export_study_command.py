"""`aebnas-bo export-study`: write the trials of a search for other tools."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from aebnas_bo.cli.options import JsonOption, RunArgument, read_path
from aebnas_bo.cli.reporting import reported_errors, show


def export_study(
    run: RunArgument,
    out: Annotated[Path, typer.Option(parser=read_path, metavar="PATH", help="File to write; must not exist.")],
    format: Annotated[Literal["optuna"], typer.Option(help="Format: a study of Optuna in SQLite.")] = "optuna",
    as_json: JsonOption = False,
) -> None:
    """Write all trials of a search, which may be running, as a study of another tool."""
    with reported_errors(as_json, quiet=False, way_on="The same command writes the file."):
        from aebnas_bo.report.optuna_study import check_optuna_file, write_optuna_study
        from aebnas_bo.report.stored_run import read_run
        from aebnas_bo.storage.count_text import counted
        from aebnas_bo.storage.run_folder import RunFolder, make_folder_of

        stored = read_run(RunFolder(run))
        make_folder_of(out)
        check_optuna_file(out)
        count = write_optuna_study(stored, out)
        text = f"{out}: {counted(count, 'trial')}; show them with optuna-dashboard sqlite:///{out}"
        show(
            {"folder": str(run), "format": format, "out": str(out), "trials": count},
            lambda stdout: stdout.print(text, highlight=False, soft_wrap=True, markup=False),
            as_json=as_json,
        )
