"""The console script `aebnas-bo`: all commands."""

from __future__ import annotations

import typer

from aebnas_bo.cli.compare_command import compare
from aebnas_bo.cli.export_command import export
from aebnas_bo.cli.latency_commands import latency, latency_table
from aebnas_bo.cli.predict_command import predict
from aebnas_bo.cli.rank_correlation_command import fidelity
from aebnas_bo.cli.report_command import report
from aebnas_bo.cli.run_command import run
from aebnas_bo.cli.space_command import space
from aebnas_bo.cli.status_command import status
from aebnas_bo.cli.train_command import train

app = typer.Typer(add_completion=False, no_args_is_help=True, pretty_exceptions_show_locals=False)
for command in (run, train, export, predict, latency, latency_table, report, status, space, fidelity, compare):
    app.command()(command)


@app.callback()
def _root() -> None:
    """Bayesian search for early-exit neural networks."""
