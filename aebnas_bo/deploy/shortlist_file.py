"""Table of a run's short trainings in the run folder."""

from __future__ import annotations

from pathlib import Path

from aebnas_bo.analysis.trained_point import TrainedPoint
from aebnas_bo.errors import CorruptStateError
from aebnas_bo.storage.checked_rows import read_checked_file
from aebnas_bo.storage.count_text import counted

SHORTLIST_FILE = "shortlist.csv"
WAY_OUT = "delete it, and the command that trained the short list writes it again"
HEADER = [
    "rung", "epochs", "goal", "key", "estimated_accuracy", "accuracy", "average_macs", "behind", "behind_sem",
    "is_met", "is_kept", "origin",
]  # fmt: skip


def read_shortlist(folder: Path) -> list[TrainedPoint]:
    """Return the longest short training of each network for each goal; empty without a short list.

    Args:
        folder: Folder of the short list.

    Raises:
        CorruptStateError: If the file is damaged.
    """
    last: dict[tuple[str, str], TrainedPoint] = {}
    for row in read_rows(folder):
        try:
            epochs, accuracy, macs = int(row["epochs"]), float(row["accuracy"]), float(row["average_macs"])
        except ValueError as error:
            raise _damaged(folder) from error
        last[row["goal"], row["key"]] = TrainedPoint(
            row["key"],
            "short",
            epochs,
            accuracy,
            macs,
            f"network {row['key']}, short training of {counted(int(epochs), 'epoch')}",
        )
    return list(last.values())


def read_rows(folder: Path) -> list[dict[str, str]]:
    """Return the raw rows of a short list; empty without a short list.

    Args:
        folder: Folder of the short list.

    Raises:
        CorruptStateError: If the file is damaged.
    """
    path = folder / SHORTLIST_FILE
    if not path.exists():
        return []
    try:
        return [dict(zip(HEADER, row, strict=True)) for row in read_checked_file(path, HEADER)]
    except OSError as error:
        raise CorruptStateError(f"{path} cannot be read ({error.strerror}); {WAY_OUT}") from error
    except ValueError as error:
        raise _damaged(folder) from error


def _damaged(folder: Path) -> CorruptStateError:
    return CorruptStateError(f"{folder / SHORTLIST_FILE} is damaged; {WAY_OUT}")
