"""Whether a table fits a terminal."""

import io

from rich.console import Console
from rich.table import Table

from aebnas_bo.analysis.table_layout import print_table


def check_fit(table: Table, width: int = 80) -> str:
    """Return a table as it is printed, checked: no line too long, no cell cut, headings wrapped between words.

    Args:
        table: The table.
        width: Columns of the terminal.
    """
    stream = io.StringIO()
    print_table(Console(file=stream, width=width), table)
    text = stream.getvalue()
    assert max(map(len, text.splitlines())) <= width, text
    assert "…" not in text, text
    joined = " ".join(text.split())
    for column in table.columns:
        for word in str(column.header).split():
            assert word in text, word
        for cell in column.cells:
            parts = str(cell).split() if column.overflow == "fold" else [" ".join(str(cell).split())]
            assert all(part in joined or len(part) > 24 for part in parts), (cell, text)
    return text
