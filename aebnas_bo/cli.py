"""The console script `aebnas-bo` with its sub-commands."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from aebnas_bo.run import reported_errors, run

app = typer.Typer(add_completion=False, no_args_is_help=True, pretty_exceptions_show_locals=False)
app.command()(run)


@app.callback()
def _root() -> None:
    """Bayesian search for early-exit neural networks."""


@app.command()
def space(
    config: Annotated[Path | None, typer.Argument(help="YAML file; without it the embedded default.")] = None,
) -> None:
    """Describe a search space: its parameters, its size and the costs of its extremes."""
    with reported_errors(as_json=False, quiet=False):
        from aebnas_bo.space_description import describe_space

        Console().print(describe_space(config))


def main() -> None:
    """Run the console script."""
    app()


if __name__ == "__main__":
    main()
