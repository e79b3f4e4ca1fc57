"""Each test runs a small command in a process of its own, whose streams are the operating system's."""

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from aebnas_bo.preparation.consoles import PlainConsole, UnfailingStream

COMMAND = """
import sys, typer
from aebnas_bo.cli.reporting import reported_errors, show
app = typer.Typer()
@app.command()
def main(text: str, as_json: bool = False, lines: int = 1, fails: bool = False) -> None:
    with reported_errors(as_json, quiet=False) as command:
        command.stderr.print(f"works on {text}")
        if fails:
            raise OSError(28, "", f"{text}.csv")
        show({"text": text}, lambda stdout: [stdout.print(f"{text} 10\\u00b2") for _ in range(lines)], as_json=as_json)
app()
"""
FULL = Path("/dev/full")
pytestmark = pytest.mark.slow


def call(redirection: str, *arguments: str, **environment: str) -> subprocess.CompletedProcess[bytes]:
    """Run the command in a shell with its streams redirected."""
    line = f'"$0" -c "$1" "${{@:2}}" {redirection}'
    return subprocess.run(
        ["bash", "-o", "pipefail", "-c", line, sys.executable, COMMAND, *arguments],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), **environment}, capture_output=True, check=False,
    )  # fmt: skip


def test_text_is_shown_as_it_is() -> None:
    result = call("", "[bold]a[/bold] :smile: [/x]")
    assert result.stdout.decode() == "[bold]a[/bold] :smile: [/x] 10²\n"
    assert result.stderr.decode() == "works on [bold]a[/bold] :smile: [/x]\n"


@pytest.mark.parametrize("json", [(), ("--as-json",)])
def test_a_closed_stdout_is_found_before_the_work(json: tuple[str, ...]) -> None:
    result = call(">&-", "a", *json)
    assert result.returncode == 2
    assert (
        result.stderr
        == b"error: stdout is closed, but the result is written to it; redirect it to a file or to /dev/null\n"
    )


@pytest.mark.skipif(not FULL.exists(), reason="no such device")
@pytest.mark.parametrize("json", [(), ("--as-json",)])
def test_a_full_stdout_is_found_before_the_work(json: tuple[str, ...]) -> None:
    result = call(">/dev/full", "a", *json)
    assert result.returncode == 8
    assert result.stderr == b"error: stdout: No space left on device; free some space there\n"


@pytest.mark.skipif(not FULL.exists(), reason="no such device")
@pytest.mark.parametrize("redirection", ["2>&-", "2>/dev/full", "<&- 2>&-"])
def test_progress_that_nobody_can_read_does_not_end_the_work(redirection: str) -> None:
    result = call(redirection, "a")
    assert (result.returncode, result.stdout.decode(), result.stderr) == (0, "a 10²\n", b"")


@pytest.mark.parametrize("json", [(), ("--as-json",)])
def test_a_reader_who_leaves_ends_a_command_quietly(json: tuple[str, ...]) -> None:
    result = call("| true", "a" * 100, "--lines", "20000", *json)
    assert result.returncode in {0, 141}  # the reader may leave after all was written
    assert b"Error" not in result.stderr
    assert b"Traceback" not in result.stderr


@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
def test_what_a_terminal_cannot_show_is_written_with_backslashes(encoding: str) -> None:
    result = call("", "写", PYTHONIOENCODING=encoding)
    assert result.returncode == 0
    assert result.stdout.decode(encoding).startswith("\\u5199 10")


def test_a_path_that_is_not_utf8_keeps_its_bytes() -> None:
    result = call("", os.fsdecode(b"a\xe9"))
    assert (result.returncode, result.stdout) == (0, b"a\xe9 10\xc2\xb2\n")


def test_a_failure_of_storage_has_one_line_and_a_code_of_its_own() -> None:
    result = call("", "[b]", "--fails", "--as-json")
    line = "error: [b].csv: No space left on device; free some space there. The same command starts over.\n"
    assert (result.returncode, result.stderr.decode()) == (8, f"works on [b]\n{line}")
    assert b'"error": "StorageError", "exit_code": 8' in result.stdout


class Full:
    def write(self, text: str) -> int:
        raise OSError(errno.ENOSPC, "full")

    flush = write
    encoding = "utf-8"


def test_a_stream_that_cannot_be_written_loses_text_only() -> None:
    stream = UnfailingStream(Full())  # type: ignore[arg-type]
    assert (stream.write("abc"), stream.encoding) == (3, "utf-8")


def test_a_plain_console_shows_tables_as_they_are(capsys: pytest.CaptureFixture[str]) -> None:
    from rich.table import Table

    table = Table("[bold]key[/]", title="[red]title[/]")
    table.add_row("[x] :fire:")
    PlainConsole(width=40).print(table)
    shown = capsys.readouterr().out
    assert all(text in shown for text in ("[bold]key[/]", "[red]title[/]", "[x] :fire:"))
