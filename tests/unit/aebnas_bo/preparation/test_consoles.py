import pytest
from rich.table import Table
from rich.text import Text

from aebnas_bo.preparation.consoles import PlainConsole

HOSTILE = "\x1b]0;title\x1b[2Jcat\x9b31m"


def test_names_send_no_commands_to_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    table = Table()
    table.add_column(HOSTILE)
    table.add_row(Text(HOSTILE))
    PlainConsole(width=200).print(HOSTILE, Text(HOSTILE), table, sep="\n")
    printed = capsys.readouterr().out
    assert printed.count("\\x1b]0;title\\x1b[2Jcat\\x9b31m\n") == 2
    assert printed.count("\\x1b]0;title") == 4
    assert not set(printed) & set("\x1b\x9b")


def test_other_text_and_colours_of_the_program_stay(capsys: pytest.CaptureFixture[str], monkeypatch) -> None:
    PlainConsole(width=80).print("é 猫 \u00a0[bold]:cat:\nline")
    assert capsys.readouterr().out == "é 猫 \u00a0[bold]:cat:\nline\n"
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm-256color")
    PlainConsole(width=80).print(Text("red", style="red"))
    assert capsys.readouterr().out == "\x1b[31mred\x1b[0m\n"
