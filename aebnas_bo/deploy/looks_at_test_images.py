"""Record of the networks of a run that were measured on the test images.

A test accuracy is unbiased if the network was chosen before it was measured. The best of several is biased upwards.
"""

from __future__ import annotations

import csv
import os
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import astuple, dataclass, fields
from pathlib import Path
from typing import TextIO

from filelock import FileLock

from aebnas_bo.deploy.training_folders import trained_networks
from aebnas_bo.early_exit.threshold_tuning import TuningGoal
from aebnas_bo.errors import CorruptStateError
from aebnas_bo.space.macs import millions
from aebnas_bo.storage.checked_rows import CHECK, checked_row, read_checked_file, read_checked_rows
from aebnas_bo.storage.regular_files import check_regular
from aebnas_bo.storage.run_folder import RunFolder
from aebnas_bo.storage.storage_failures import storage_error

LOOKS_FILE = "test_looks.csv"
WAY_OUT = "delete it; the trained networks are counted instead"


@dataclass(frozen=True)
class Look:
    """Network with its thresholds, measured on the test images.

    Args:
        key: Key of its architecture.
        seed: Seed of its training, as text.
        recipe: Recipe of its training; empty for earlier versions.
        tuning: Goal of its threshold tuning; empty for earlier versions.
    """

    key: str
    seed: str
    recipe: str
    tuning: str

    def is_same(self, other: Look) -> bool:
        """Return whether both records may stand for the same network at the same thresholds."""
        is_one = (self.key, self.seed) == (other.key, other.seed)
        pairs = ((self.recipe, other.recipe), (self.tuning, other.tuning))
        return is_one and all(one == another or "" in {one, another} for one, another in pairs)


COLUMNS = [field.name for field in fields(Look)]


def look_of(key: str, seed: int, recipe: str, *, goal: TuningGoal) -> Look:
    """Return the record of a network.

    Args:
        key: Key of its architecture.
        seed: Seed of its training.
        recipe: Recipe of its training.
        goal: Goal of its threshold tuning.
    """
    is_accuracy = goal.kind == "min_accuracy"
    tuning = f"accuracy>={goal.value:.6g}" if is_accuracy else f"macs<={millions(goal.value):.6g}"
    return Look(key, str(seed), recipe, tuning)


def known_looks(folder: RunFolder) -> list[Look]:
    """Return the networks measured on the test images so far, including trained networks of earlier versions.

    Args:
        folder: The run folder.

    Raises:
        NetworkFileError: If there is no record yet and the file of a trained network is damaged.
        CorruptStateError: If the record is damaged.
    """
    path = _file(folder)
    _check_regular(path)
    if path.exists() and path.stat().st_size:
        try:
            return _looks(read_checked_file(path, COLUMNS))
        except OSError as error:
            raise CorruptStateError(f"{path} cannot be read ({error.strerror}); {WAY_OUT}") from error
        except ValueError as error:
            raise _damaged(path, error) from error
    return _looks_of_earlier_versions(folder)


def note_look(folder: RunFolder, look: Look) -> int:
    """Record that a network is about to be measured on the test images.

    Args:
        folder: The run folder.
        look: The network.

    Returns:
        The number of other networks measured before.

    Raises:
        NetworkFileError: If nothing is noted yet and the file of a trained network is damaged.
        CorruptStateError: If the file of what is noted is damaged.
        StorageError: If the record cannot be written.
    """
    path = _file(folder)
    path.parent.mkdir(parents=True, exist_ok=True)
    _check_regular(path)
    # Two trainings may end at the same time.
    with FileLock(path, preserve_lock_file=True), path.open("a+", encoding="utf-8", newline="") as file:
        file.seek(0)
        known = _read(file, path) if path.stat().st_size else []
        rows: list[Sequence[object]] = []
        if not file.tell():
            known = _looks_of_earlier_versions(folder)
            rows = [[*COLUMNS, CHECK], *(checked_row(astuple(one)) for one in known)]
        if look not in known:
            rows.append(checked_row(astuple(look)))
        _append(file, rows, path)
    return sum(not look.is_same(other) for other in known)


def looks_text(others: int) -> str:
    """Return a note on the number of other networks measured on the test images.

    Args:
        others: Number of other networks.
    """
    if not others:
        return "test images: no other network of this run was measured on them before"
    count = "one other network" if others == 1 else f"{others} other networks"
    was = "was" if others == 1 else "were"
    return (
        f"test images: {count} of this run (key, seed, recipe or thresholds) {was} measured on them before; choose "
        "between them by validation accuracy, because the best test accuracy of several is biased upwards"
    )


def _file(folder: RunFolder) -> Path:
    return folder.trained / LOOKS_FILE


def _check_regular(path: Path) -> None:
    """Check that a record, if there is one, is a regular file."""
    try:
        check_regular(path)
    except FileNotFoundError:
        pass
    except OSError as error:
        raise CorruptStateError(f"{path} cannot be read ({error.strerror}); {WAY_OUT}") from error


def _read(lines: Iterable[str], path: Path) -> list[Look]:
    """Return the distinct records of a file."""
    try:
        return _looks(read_checked_rows(lines, COLUMNS))
    except ValueError as error:
        raise _damaged(path, error) from error


def _looks(rows: Iterable[Sequence[str]]) -> list[Look]:
    return list(dict.fromkeys(Look(*row) for row in rows))


def _damaged(path: Path, error: ValueError) -> CorruptStateError:
    return CorruptStateError(f"{path} is damaged ({error}); {WAY_OUT}")


def _append(file: TextIO, rows: Sequence[Sequence[object]], path: Path) -> None:
    """Append all rows or none: the next row would be appended to an incomplete one."""
    size = path.stat().st_size
    try:
        csv.writer(file, lineterminator="\n").writerows(rows)
        file.flush()
    except OSError as error:
        os.truncate(path, size)
        with suppress(OSError):  # closing tries to write the rest again
            file.close()
        os.truncate(path, size)
        raise storage_error(path, error) from error


def _looks_of_earlier_versions(folder: RunFolder) -> list[Look]:
    origins = [(one.description.key, one.description.origin) for one in trained_networks(folder)]
    return [Look(key, str(origin.seed), origin.recipe, "") for key, origin in origins]
