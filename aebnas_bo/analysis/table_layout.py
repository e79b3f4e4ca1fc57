"""Layout of tables for narrow terminals: headings wrap, and surplus columns move to further tables below."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.table import Column, Table
from rich.text import Text

WIDE = 10_000  # columns of no terminal
FOLDED = 16  # columns that a cell which may be folded has at least
LONGEST_WORD = 24  # columns of a word that is not folded


def print_table(console: Console, table: Table) -> None:
    """Print a table without truncating numbers.

    Where it is too wide, its headings are wrapped between words. Where that is not enough, columns go into further
    tables below, each beginning with the first column. Columns that may be folded (`overflow="fold"`) are, between
    words where these are no longer than `LONGEST_WORD`.

    Args:
        console: Console to print to.
        table: The table; cells are texts.
    """
    if console.measure(table, options=console.options.update(width=WIDE)).maximum <= console.width:
        console.print(table)
        return
    groups = _groups(table, console.width)
    for number, group in enumerate(groups):
        part = _part(table, group, _widths(group, console.width - _frame(table, len(group))))
        part.title = table.title if number == 0 else None
        part.caption = table.caption if number == len(groups) - 1 else None
        console.print(part)


def _part(table: Table, columns: Sequence[Column], widths: Sequence[int]) -> Table:
    part = Table(
        box=table.box, padding=table.padding, collapse_padding=table.collapse_padding, pad_edge=table.pad_edge,
        show_edge=table.show_edge, title_justify=table.title_justify, caption_justify=table.caption_justify,
    )  # fmt: skip
    for column, width in zip(columns, widths, strict=True):
        part.add_column(column.header, justify=column.justify, width=width, overflow=column.overflow)
    for row, cells in zip(table.rows, zip(*(column.cells for column in columns), strict=True), strict=True):
        part.add_row(*cells, end_section=row.end_section)
    return part


def _frame(table: Table, count: int) -> int:
    """Return the width of a table's lines and padding in terminal columns."""
    return count * (table.padding[1] + table.padding[3]) + (count + 1 if table.box is not None else 0)


def _groups(table: Table, width: int) -> list[list[Column]]:
    first, *others = table.columns
    groups: list[list[Column]] = [[first]]
    for column in others:
        together = [*groups[-1], column]
        needed = sum(map(_least, together)) + _frame(table, len(together))
        if needed > width and len(groups[-1]) > 1:
            groups.append([first, column])
        else:
            groups[-1].append(column)
    return groups


def _widths(columns: Sequence[Column], room: int) -> list[int]:
    """Distribute the width: minimum widths first, the rest to wrapped headings and folded cells."""
    widths = [_least(column) for column in columns]
    left = room - sum(widths)
    for at, column in enumerate(columns):
        more = min(max(left, 0), _most(column) - widths[at])
        widths[at] += more
        left -= more
    return widths


def _least(column: Column) -> int:
    """Return the least width of a column at which no word of its heading and no cell is cut."""
    cells = [_text(cell).cell_len for cell in column.cells]
    if cells and column.overflow == "fold":
        words = [width for cell in column.cells for width in _words(cell) if width <= LONGEST_WORD]
        cells = [min(max(cells), max([FOLDED, *words]))]
    return max([*_words(column.header), *cells, 1])


def _words(value: object) -> list[int]:
    return [Text(word).cell_len for word in _text(value).plain.split()]


def _most(column: Column) -> int:
    return max([_text(column.header).cell_len, *(_text(cell).cell_len for cell in column.cells), 1])


def _text(value: object) -> Text:
    return value if isinstance(value, Text) else Text.from_markup(str(value))
