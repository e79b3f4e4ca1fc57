"""The errors a user can provoke, each with the exit code the command line ends with."""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import ValidationError

LONGEST_TEXT = 2000  # characters of an error that are kept


class AebnasError(Exception):
    """Base of all errors of this package; `exit_code` is what the command line returns for it."""

    exit_code: int = 1


class UsageError(AebnasError, ValueError):
    """The call itself is wrong: a flag, or a run folder that already holds a study."""

    exit_code = 2


class ConfigError(AebnasError, ValueError):
    """One or more settings are wrong; all of them are reported at once.

    Args:
        problems: One sentence per problem, each beginning with the setting's dotted path.
    """

    exit_code = 3

    def __init__(self, problems: Sequence[str] | str) -> None:
        self.problems: tuple[str, ...] = (problems,) if isinstance(problems, str) else tuple(problems)
        super().__init__("\n".join(self.problems))


class SearchSpaceError(ConfigError):
    """A search space is declared inconsistently, or a point does not belong to it."""


class DataError(AebnasError, ValueError):
    """Images are missing, unreadable or unsuitable."""

    exit_code = 4


class RunFolderInUseError(AebnasError, RuntimeError):
    """Another process works in the run folder."""

    exit_code = 5


class TooManyFailedTrialsError(AebnasError, RuntimeError):
    """More trials failed than `search.max_failed_trials` allows."""

    exit_code = 6


class SpaceExhaustedError(AebnasError, RuntimeError):
    """Every point of the search space was tried."""

    exit_code = 6


class TrainingDivergedError(AebnasError, RuntimeError):
    """Supernet training kept producing non-finite losses after every allowed roll-back."""

    exit_code = 6


class CorruptStateError(AebnasError, RuntimeError):
    """A file of the run folder cannot be read or does not match its own hash."""

    exit_code = 7


class StorageError(AebnasError, OSError):
    """A file or a database cannot be written or read: a full disk, a missing permission, too many open files.

    Nothing is wrong with what was computed; once the cause is removed, a run goes on where it stopped.
    """

    exit_code = 8

    def __str__(self) -> str:
        return str(self.args[0])  # the message alone, also where `errno` and `strerror` are set


class OutOfMemoryError(AebnasError, MemoryError):
    """The memory of the machine, or of its GPU, is used up; a run goes on where it stopped."""

    exit_code = 8


class EstimationError(AebnasError, ArithmeticError):
    """An architecture could not be judged; its trial fails and the search goes on."""


class StopRequested(BaseException):
    """A signal asked the run to stop; everything finished so far is stored.

    Derived from `BaseException` so that no handler of errors takes it for a failed trial.

    Args:
        signal_number: The POSIX signal number (2 for SIGINT, 15 for SIGTERM).
    """

    def __init__(self, signal_number: int) -> None:
        self.exit_code = 128 + signal_number
        super().__init__(f"stopped by signal {signal_number}")


def first_problem(error: ValidationError) -> str:
    """Return the first thing wrong with a file's content, as `place: reason`, and how many there are."""
    first = error.errors()[0]
    place = ".".join(str(part)[:40] for part in first["loc"][:10])
    others = f" ({error.error_count()} problems in all)" if error.error_count() > 1 else ""
    return (f"{place}: " if place else "") + first["msg"] + others


def error_text(error: BaseException) -> str:
    """Return the type and the text of an error of somebody else's code, which may be of any kind or none.

    Args:
        error: The error.
    """
    try:
        text = str(error)
    except Exception as second:
        text = f"its text cannot be shown, which raises {type(second).__name__}"
    return one_line(f"{type(error).__name__}: {text}" if text else type(error).__name__)


def reason_of(error: Exception) -> str:
    """Return the text of another library's error in one line, or its type's name where it has no text."""
    return one_line(str(error)) or type(error).__name__


def one_line(text: str) -> str:
    """Return a text in a line of limited length that every database, file and terminal takes.

    Args:
        text: Any text.
    """
    shown = "".join(one if one.isprintable() else ascii(one)[1:-1] for one in " ".join(text.split()))
    return shown if len(shown) <= LONGEST_TEXT else f"{shown[:LONGEST_TEXT]} ..."
