"""`aebnas-bo space`: describe a search space."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from aebnas_bo.cli.reporting import reported_errors, terminal


def space(
    config: Annotated[Path | None, typer.Argument(help="YAML file; without it the embedded default.")] = None,
) -> None:
    """Describe a search space: its parameters, its size and the costs of its extremes."""
    with reported_errors(as_json=False, quiet=False):
        from aebnas_bo.cli.space_description import describe_space

        terminal().print(describe_space(config))
