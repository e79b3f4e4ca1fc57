"""The console script `aebnas-bo` with its sub-commands."""

from __future__ import annotations

import typer

from aebnas_bo.run import run

app = typer.Typer(add_completion=False, no_args_is_help=True, pretty_exceptions_show_locals=False)
app.command()(run)


@app.callback()
def _root() -> None:
    """Bayesian search for early-exit neural networks."""


@app.command()
def space(
    config: str = typer.Argument("", help="YAML file; without it the embedded default."),
) -> None:
    """Describe a search space: its parameters, its size and the costs of its extremes."""
    from pathlib import Path

    from rich.console import Console

    from aebnas_bo.space_description import describe_space

    Console().print(describe_space(Path(config) if config else None))


def main() -> None:
    """Run the console script."""
    app()


if __name__ == "__main__":
    main()
