"""End of every command: results on stdout, errors on stderr, an exit code.

Exit codes: 0 success, 2 usage, 3 configuration, 4 data, 5 run folder in use, 6 too many failed trials, 7 unreadable or
corrupt state, 8 storage or memory failed, 9 no worker is left, 130 and 143 stopped by a signal (the message says how to
continue), 141 stdout was closed by its reader.
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NoReturn

import typer
from rich.console import Console
from rich.logging import RichHandler
from rich.text import Text

from aebnas_bo.cli.standard_streams import PIPE_CLOSED, check_streams, drop_stdout, write_stdout
from aebnas_bo.cli.stopping import StopSignals
from aebnas_bo.config.problems import printable
from aebnas_bo.errors import AebnasError, ConfigError, OutOfMemoryError, StopRequested, StorageError
from aebnas_bo.execution.cpu import keep_kernels_and_memory
from aebnas_bo.preparation.consoles import PlainConsole

if TYPE_CHECKING:
    from aebnas_bo.preparation.progress import RunProgress

STARTS_OVER = "The same command starts over."
WIDTH = 140  # characters per line of tables in a file or a pipe


@dataclass
class Command:
    """Running command.

    Args:
        stderr: Console for progress and errors.
        stop: Handler of the signals that end it.
        as_json: Whether it prints its result as a JSON document to stdout.
        quiet: Whether it prints only errors.
        way_on: Message on how to continue after a signal; a command may replace it by a more specific one.
        at_end: Called when the command ends, with or without an error.
    """

    stderr: Console
    stop: StopSignals
    as_json: bool
    quiet: bool
    way_on: Callable[[], str] = lambda: STARTS_OVER
    at_end: ExitStack = field(default_factory=ExitStack)
    _running: RunProgress | None = None

    def progress(self) -> RunProgress:
        """Return a progress display that ends the command after a signal."""
        from aebnas_bo.preparation.progress import RunProgress

        self._running = RunProgress(self.stderr, self.quiet, self.stop.check)
        return self._running

    @property
    def position(self) -> str:
        """Progress as text; empty before the first step."""
        return self._running.position if self._running is not None else ""


@contextmanager
def reported_errors(as_json: bool, quiet: bool, way_on: str = STARTS_OVER) -> Iterator[Command]:
    """Run a command and turn errors and signals into messages and exit codes.

    Args:
        as_json: Whether to also print errors as a JSON document to stdout.
        quiet: Whether to log only errors.
        way_on: Message on how to continue after a signal.
    """
    stop = StopSignals()
    stop.install()
    keep_kernels_and_memory()
    stderr = PlainConsole(stderr=True)
    command = Command(stderr, stop, as_json, quiet, lambda: way_on)
    try:
        check_streams()
    except AebnasError as error:
        _end_with([str(error)], error, command)
    _set_up_logging(stderr, quiet)
    try:
        with command.at_end:
            yield command
    except BrokenPipeError:
        drop_stdout()
        raise typer.Exit(PIPE_CLOSED) from None
    except StopRequested as request:
        where = f" with {command.position}" if command.position else ""
        stderr.print(Text.assemble((str(request), "bold"), f"{where}. {command.way_on()}"), soft_wrap=True)
        _end(type(request).__name__, request.exit_code, problems=[str(request)], as_json=as_json)
    except Exception as error:
        known = error if isinstance(error, AebnasError) else _machine_failure(error)
        if known is None:
            raise
        _show_error(known, command)


def _machine_failure(error: Exception) -> AebnasError | None:
    from aebnas_bo.search.machine_failures import machine_failure  # slow to import

    return machine_failure(error)


def _show_error(error: AebnasError, command: Command) -> NoReturn:
    problems = list(error.problems) if isinstance(error, ConfigError) else [str(error)]
    if isinstance(error, StorageError | OutOfMemoryError):
        problems = [f"{error}. {command.way_on()}"]
    _end_with(problems, error, command)


def _end_with(problems: list[str], error: AebnasError, command: Command) -> NoReturn:
    for problem in map(printable, problems):  # one line each, whatever the names in them
        command.stderr.print(Text.assemble(("error:", "bold red"), f" {problem}"), soft_wrap=True)
    _end(type(error).__name__, error.exit_code, problems=problems, as_json=command.as_json)


def _end(name: str, exit_code: int, *, problems: list[str], as_json: bool) -> NoReturn:
    if as_json:
        try:
            write_stdout(json.dumps({"error": name, "exit_code": exit_code, "problems": problems}) + "\n")
        except OSError:
            drop_stdout()
    raise typer.Exit(exit_code)


def _set_up_logging(stderr: Console, quiet: bool) -> None:
    wanted = os.environ.get("AEBNAS_BO_LOG", "WARNING").upper()
    level = "ERROR" if quiet or wanted not in logging.getLevelNamesMapping() else wanted
    handler = RichHandler(console=stderr, show_path=False, show_time=False)
    logging.basicConfig(level=level, format="%(message)s", handlers=[handler])
    # Libraries print deprecation warnings and messages on import regardless of log levels; show them when debugging.
    logging.captureWarnings(True)
    if level not in {"INFO", "DEBUG"}:
        logging.disable(logging.INFO)
        logging.getLogger("py.warnings").setLevel(logging.ERROR)


def show(document: Mapping[str, object], draw: Callable[[Console], None], *, as_json: bool, width: int = WIDTH) -> None:
    """Print a result to stdout, as JSON or for readers.

    Args:
        document: The result as one JSON document, with finite numbers only.
        draw: Function that prints the result to a console.
        as_json: Whether to print the JSON document.
        width: Characters per line in a file or a pipe.

    Raises:
        BrokenPipeError: If the reader of stdout has closed it.
        StorageError: If it cannot be written.
    """
    if as_json:
        write_stdout(json.dumps(document, allow_nan=False) + "\n")
    else:
        draw(terminal(width))
        write_stdout("")


def terminal(width: int = WIDTH) -> Console:
    """Return the console for results, with lines of a fixed width in a file or a pipe.

    Args:
        width: Characters per line of a file or a pipe.
    """
    stdout = PlainConsole()
    return stdout if stdout.is_terminal else PlainConsole(width=width)
