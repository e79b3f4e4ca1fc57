"""CSV rows with a checksum: the last cell is a short hash of the others."""

from __future__ import annotations

import csv
import hashlib
import io
import json
from collections.abc import Iterable, Sequence
from pathlib import Path

from aebnas_bo.storage.regular_files import read_regular

CHECK = "check"  # header of the last column
DIGITS = 8
MOST_BYTES = 1 << 28


def checked_row(cells: Sequence[object]) -> list[object]:
    """Return a row with its hash, for `csv.writer`.

    Args:
        cells: Texts and numbers.
    """
    return [*cells, _hash([str(cell) for cell in cells])]


def read_checked_file(path: Path, header: Sequence[str]) -> list[list[str]]:
    """Return the cells of all rows of a file without their hashes.

    Args:
        path: The file.
        header: Names of the columns, without the column of hashes.

    Raises:
        OSError: If it cannot be read or is not a regular file.
        ValueError: See `read_checked_rows`.
    """
    text = read_regular(path, MOST_BYTES).decode("utf-8")
    return read_checked_rows(io.StringIO(text, newline=""), header)


def read_checked_rows(lines: Iterable[str], header: Sequence[str]) -> list[list[str]]:
    """Return the cells of all rows without their hashes.

    Args:
        lines: Lines of the file.
        header: Names of the columns, without the column of hashes.

    Raises:
        ValueError: If the header differs, or a row does not match its hash.
    """
    try:
        rows = list(csv.reader(lines, strict=True))
    except csv.Error as error:
        raise ValueError(f"it is not CSV text: {error}") from error
    found = rows.pop(0) if rows else []
    if found != [*header, CHECK]:
        raise ValueError("it has unexpected columns")
    for number, row in enumerate(rows, start=2):
        if len(row) != len(found) or row[-1] != _hash(row[:-1]):
            raise ValueError(f"line {number} was changed")
    return [row[:-1] for row in rows]


def _hash(cells: Sequence[str]) -> str:
    return hashlib.sha256(json.dumps(list(cells)).encode()).hexdigest()[:DIGITS]
