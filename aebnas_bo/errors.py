"""Errors that users can cause, each with its exit code on the command line."""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import ValidationError

LONGEST_REASON = 200  # characters of another library's message within one of ours
LONGEST_TEXT = 2000  # maximum characters of an error


class AebnasError(Exception):
    """Base class of all errors of this package; `exit_code` is the exit code of the command line."""

    exit_code: int = 1


class UsageError(AebnasError, ValueError):
    """Raised for a wrong call, such as a wrong flag or a run folder that already holds a study."""

    exit_code = 2


class MissingMetricError(UsageError):
    """Raised if a trial was completed without a finite value of every metric."""


class ConfigError(AebnasError, ValueError):
    """Raised for invalid settings, all of which are reported together.

    Args:
        problems: One sentence per problem, each beginning with the setting's dotted path.
    """

    exit_code = 3

    def __init__(self, problems: Sequence[str] | str) -> None:
        self.problems: tuple[str, ...] = (problems,) if isinstance(problems, str) else tuple(problems)
        super().__init__("\n".join(self.problems))


class SearchSpaceError(ConfigError):
    """Raised if a search space is inconsistent, or a point does not belong to it."""


class DataError(AebnasError, ValueError):
    """Raised if images are missing, unreadable or unsuitable."""

    exit_code = 4


class RunFolderInUseError(AebnasError, RuntimeError):
    """Raised if another process uses the run folder."""

    exit_code = 5


class LostTrialError(AebnasError, ValueError):
    """Raised if a worker renews or finishes a trial that has ended, or that another attempt has taken over."""

    exit_code = 5


class TooManyFailedTrialsError(AebnasError, RuntimeError):
    """Raised if more trials failed than `search.max_failed_trials` allows."""

    exit_code = 6


class SpaceExhaustedError(AebnasError, RuntimeError):
    """Raised if every point of the search space was evaluated."""

    exit_code = 6


class TrainingDivergedError(AebnasError, RuntimeError):
    """Raised if the training loss stays non-finite after all allowed roll-backs."""

    exit_code = 6


class ProcessLostError(AebnasError, RuntimeError):
    """Raised if another process of a training ends before the training; the run can be resumed."""

    exit_code = 8


class CorruptStateError(AebnasError, RuntimeError):
    """Raised if a file of the run folder cannot be read or does not match its hash."""

    exit_code = 7


class StorageError(AebnasError, OSError):
    """Raised if a file or database cannot be written or read: full disk, missing permission, too many open files.

    Computed results are intact; once the cause is removed, the run can be resumed.
    """

    exit_code = 8

    def __str__(self) -> str:
        return str(self.args[0])  # only the message, even if `errno` and `strerror` are set


class OutOfMemoryError(AebnasError, MemoryError):
    """Raised if the memory of the machine or its GPU is exhausted; the run can be resumed."""

    exit_code = 8


class ExecutionError(AebnasError, RuntimeError):
    """Raised if workers are lost or not available for too long; finished results are stored."""

    exit_code = 9


class EstimationError(AebnasError, ArithmeticError):
    """Raised if an architecture cannot be evaluated; its trial fails and the search continues."""


class StopRequested(BaseException):
    """Raised to stop a run after a signal; finished results are stored.

    Derived from `BaseException`, so that error handlers do not treat it as a failed trial.

    Args:
        signal_number: The POSIX signal number (2 for SIGINT, 15 for SIGTERM).
    """

    def __init__(self, signal_number: int) -> None:
        self.exit_code = 128 + signal_number
        super().__init__(f"stopped by signal {signal_number}")


def first_problem(error: ValidationError) -> str:
    """Return the first validation error of a file's contents as `place: reason`, with the number of errors."""
    first = error.errors()[0]
    place = ".".join(str(part)[:40] for part in first["loc"][:10])
    others = f" ({error.error_count()} problems in all)" if error.error_count() > 1 else ""
    return (f"{place}: " if place else "") + first["msg"] + others


def error_text(error: BaseException) -> str:
    """Return type and text of an error in third-party code, whose text may be empty or raise an error itself.

    Args:
        error: The error.
    """
    try:
        text = str(error)
    except Exception as second:
        text = f"its text cannot be shown, which raises {type(second).__name__}"
    return one_line(f"{type(error).__name__}: {text}" if text else type(error).__name__)


def reason_of(error: Exception) -> str:
    """Return the text of a library's error as one line, or the name of its type if the text is empty."""
    text = one_line(str(error)) or type(error).__name__
    return text if len(text) <= LONGEST_REASON else f"{text[:LONGEST_REASON]} ..."


def one_line(text: str) -> str:
    """Return a text as one line of limited length that is valid in every database, file and terminal.

    Args:
        text: Any text.
    """
    shown = "".join(one if one.isprintable() else ascii(one)[1:-1] for one in " ".join(text.split()))
    return shown if len(shown) <= LONGEST_TEXT else f"{shown[:LONGEST_TEXT]} ..."
