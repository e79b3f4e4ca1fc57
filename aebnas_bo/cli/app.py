"""Console script `aebnas-bo` with all commands."""

from __future__ import annotations

from typing import Annotated

import typer

from aebnas_bo.cli.compare_command import compare
from aebnas_bo.cli.export_command import export
from aebnas_bo.cli.export_study_command import export_study
from aebnas_bo.cli.latency_commands import latency, latency_table
from aebnas_bo.cli.predict_command import predict
from aebnas_bo.cli.rank_correlation_command import fidelity
from aebnas_bo.cli.report_command import report
from aebnas_bo.cli.run_command import run
from aebnas_bo.cli.space_command import space
from aebnas_bo.cli.status_command import status
from aebnas_bo.cli.studies_command import studies
from aebnas_bo.cli.train_command import train
from aebnas_bo.storage.version import __version__

app = typer.Typer(add_completion=False, no_args_is_help=True, pretty_exceptions_show_locals=False)
for command in (
    run,
    train,
    export,
    predict,
    latency,
    latency_table,
    report,
    status,
    studies,
    space,
    fidelity,
    compare,
    export_study,
):
    app.command()(command)


def _show_version(is_wanted: bool) -> None:
    if is_wanted:
        typer.echo(f"aebnas-bo {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Bayesian search for early-exit neural networks."""
