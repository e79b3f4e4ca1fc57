"""`aebnas-bo studies`: list the studies of a shared database."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text

from aebnas_bo.cli.options import JsonOption
from aebnas_bo.cli.reporting import reported_errors, show

COLUMNS = (
    "study",
    "name",
    "seed",
    "completed",
    "running",
    "failed",
    "best accuracy",
    "created",
    "last change",
    "process",
)
TEXTS = ("name", "process")  # the other columns are aligned to the right


def studies(
    url: Annotated[
        str, typer.Argument(metavar="URL", help="Database, as in `storage`: postgresql+psycopg://USER@HOST/DATABASE.")
    ],
    as_json: JsonOption = False,
) -> None:
    """List the studies of a shared database."""
    with reported_errors(as_json, quiet=False, way_on="Ask again."):
        from aebnas_bo.report.number_text import duration_text
        from aebnas_bo.search.study_list import list_studies

        found = list_studies(url)
        table = Table(box=None, padding=(0, 2), pad_edge=False)
        for name in COLUMNS:
            table.add_column(name, justify="left" if name in TEXTS else "right", no_wrap=True)
        for one in found:
            accuracy = "" if one.best_accuracy is None else f"{one.best_accuracy:.2f} %"
            ages = (f"{duration_text(one.created_s)} ago", f"{duration_text(one.changed_s)} ago")
            counts = (one.completed, one.running, one.failed)
            cells = (one.study_id, one.name, one.seed, *counts, accuracy, *ages, one.process or "")
            table.add_row(*(Text(str(cell)) for cell in cells))
        show({"studies": [asdict(one) for one in found]}, lambda out: out.print(table), as_json=as_json, width=200)
