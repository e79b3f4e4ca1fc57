import io

import pytest
from rich import box
from rich.console import Console
from rich.table import Table

from aebnas_bo.analysis.table_layout import print_table


def printed(table: Table, width: int) -> list[str]:
    stream = io.StringIO()
    print_table(Console(file=stream, width=width), table)
    return stream.getvalue().splitlines()


def wide() -> Table:
    table = Table(title="Methods", caption="seeds 0 and 1", title_justify="left")
    names = ("method", "test accuracy (%)", "validation accuracy (%)", "average MACs (M)", "worst-case MACs (M)")
    for name in names:
        table.add_column(name)
    table.add_row("aebnas-bo", "97.12 ± 0.30", "98.00 ± 0.11", "0.0612 ± 0.0010", "0.0912 ± 0.0001")
    table.add_section()
    table.add_row("static", "96.12 ± 0.30", "98.50 ± 0.11", "0.0712 ± 0.0010", "0.0812 ± 0.0001")
    return table


@pytest.mark.parametrize("width", [120, 100, 80, 60, 40])
def test_no_figure_and_no_word_is_cut(width: int) -> None:
    lines = printed(wide(), width)
    text = "\n".join(lines)
    assert max(map(len, lines)) <= width
    assert "…" not in text
    for cell in ("97.12 ± 0.30", "98.50 ± 0.11", "0.0712 ± 0.0010", "0.0912 ± 0.0001"):
        assert text.count(cell) == 1, text
    for word in ("accuracy", "validation", "worst-case"):
        assert word in text
    assert (text.count("Methods"), text.count("seeds 0 and 1")) == (1, 1)


def test_columns_without_room_go_into_tables_below_with_the_first_one() -> None:
    assert "\n".join(printed(wide(), 200)).count("aebnas-bo") == 1
    assert "\n".join(printed(wide(), 80)).count("aebnas-bo") == 1  # headings in two lines do
    assert "\n".join(printed(wide(), 60)).count("aebnas-bo") == 2


def test_a_column_that_may_be_folded_gives_way() -> None:
    table = Table(box=box.SIMPLE_HEAD)
    table.add_column("picture", overflow="fold")
    table.add_column("class")
    table.add_row("a/very/long/path/of/a/picture.png", "cat")
    lines = printed(table, 30)
    assert max(map(len, lines)) <= 30
    assert "".join(line.split()[0] for line in lines if "/" in line or "png" in line) == (
        "a/very/long/path/of/a/picture.png"
    )
