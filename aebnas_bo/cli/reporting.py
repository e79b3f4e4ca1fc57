"""How every command ends: results on stdout, problems on stderr, an exit code.

Exit codes: 0 done, 2 usage, 3 configuration, 4 data, 5 run folder in use, 6 too many failed trials, 7 unreadable or
corrupt state, 130 and 143 stopped by a signal (the message says how to go on).
"""

from __future__ import annotations

import json
import logging
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, NoReturn

import typer
from rich.console import Console
from rich.logging import RichHandler
from rich.markup import escape

from aebnas_bo.cli.stopping import StopSignals
from aebnas_bo.errors import AebnasError, ConfigError, StopRequested

if TYPE_CHECKING:
    from aebnas_bo.preparation.progress import RunProgress

STARTS_OVER = "The same command starts over."
WIDTH = 140  # of tables that go into a file or a pipe


@dataclass
class Command:
    """A command at work.

    Args:
        stderr: Where it shows progress and problems.
        stop: The signals that end it.
        as_json: Whether it writes its result as a JSON document on stdout.
        quiet: Whether it shows nothing but errors.
        way_on: Says how to go on once a signal has stopped it; commands that store something change it.
    """

    stderr: Console
    stop: StopSignals
    as_json: bool
    quiet: bool
    way_on: Callable[[], str] = lambda: STARTS_OVER
    _running: RunProgress | None = None

    def progress(self) -> RunProgress:
        """Return what shows how far it is, and ends it where a signal came."""
        from aebnas_bo.preparation.progress import RunProgress

        self._running = RunProgress(self.stderr, self.quiet, self.stop.check)
        return self._running

    @property
    def position(self) -> str:
        """How far it is, in words; empty before the first step."""
        return self._running.position if self._running is not None else ""


@contextmanager
def reported_errors(as_json: bool, quiet: bool, way_on: str = STARTS_OVER) -> Iterator[Command]:
    """Run a command; errors and signals become messages and exit codes.

    Args:
        as_json: Whether to write the error as a JSON document on stdout too.
        quiet: Whether nothing but errors is logged.
        way_on: How to go on once a signal has stopped it.
    """
    stderr = Console(stderr=True)
    _set_up_logging(stderr, quiet)
    stop = StopSignals()
    stop.install()
    _keep_kernels()
    command = Command(stderr, stop, as_json, quiet, lambda: way_on)
    try:
        yield command
    except AebnasError as error:
        problems = list(error.problems) if isinstance(error, ConfigError) else [str(error)]
        for problem in problems:
            stderr.print(f"[bold red]error:[/] {escape(problem)}", highlight=False, soft_wrap=True)
        _end(type(error).__name__, error.exit_code, problems=problems, as_json=as_json)
    except StopRequested as request:
        where = f" with {command.position}" if command.position else ""
        text = escape(f"{where}. {command.way_on()}")
        stderr.print(f"[bold]{request}[/]{text}", highlight=False, soft_wrap=True)
        _end(type(request).__name__, request.exit_code, problems=[str(request)], as_json=as_json)


def _keep_kernels() -> None:
    """Let oneDNN keep the kernels of all layers a supernet may use; with its own limit, 1024, it recompiles them."""
    os.environ.setdefault("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "20000")  # read when PyTorch first runs a convolution


def _end(name: str, exit_code: int, *, problems: list[str], as_json: bool) -> NoReturn:
    if as_json:
        sys.stdout.write(json.dumps({"error": name, "exit_code": exit_code, "problems": problems}) + "\n")
    raise typer.Exit(exit_code)


def _set_up_logging(stderr: Console, quiet: bool) -> None:
    wanted = os.environ.get("AEBNAS_BO_LOG", "WARNING").upper()
    level = "ERROR" if quiet or wanted not in logging.getLevelNamesMapping() else wanted
    handler = RichHandler(console=stderr, show_path=False, show_time=False)
    logging.basicConfig(level=level, format="%(message)s", handlers=[handler])
    # Libraries warn of their own deprecations and greet on import, past any level; who debugs can see it.
    logging.captureWarnings(True)
    if level not in {"INFO", "DEBUG"}:
        logging.disable(logging.INFO)
        logging.getLogger("py.warnings").setLevel(logging.ERROR)


def show(document: Mapping[str, object], draw: Callable[[Console], None], *, as_json: bool, width: int = WIDTH) -> None:
    """Show a result on stdout, either to a program or to a reader.

    Args:
        document: The result as one JSON document; a number that is not finite is an error.
        draw: Draws it, in the terminal or, into a file or a pipe, in lines of a fixed width.
        as_json: Whether the JSON document is asked for.
        width: Characters per line of a file or a pipe.
    """
    if as_json:
        sys.stdout.write(json.dumps(document, allow_nan=False) + "\n")
    else:
        draw(terminal(width))


def terminal(width: int = WIDTH) -> Console:
    """Return where results are shown: the terminal or, into a file or a pipe, lines of a fixed width.

    Args:
        width: Characters per line of a file or a pipe.
    """
    stdout = Console()
    return stdout if stdout.is_terminal else Console(width=width)
