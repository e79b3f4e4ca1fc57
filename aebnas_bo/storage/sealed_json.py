"""JSON files with an embedded hash, written atomically, so that changes are detected on reading."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

from aebnas_bo.errors import CorruptStateError
from aebnas_bo.storage.atomic_files import write_text
from aebnas_bo.storage.regular_files import read_regular

SEAL = "sha256"
MOST_BYTES = 1 << 28


def write_sealed(path: Path, document: Mapping[str, object]) -> None:
    """Write a document with its hash.

    Args:
        path: The file.
        document: The contents; numbers must be finite.
    """
    plain = json.loads(json.dumps(document, allow_nan=False))  # equal to the document as read
    write_text(path, json.dumps({**plain, SEAL: _hash(plain)}, indent=2) + "\n")


def read_sealed(path: Path, way_out: str) -> dict[str, object]:
    """Read a file written by `write_sealed`.

    Args:
        path: The file.
        way_out: Advice for a damaged file, for the message.

    Raises:
        CorruptStateError: If it cannot be read or does not match its hash.
    """
    try:
        document = json.loads(read_regular(path, MOST_BYTES))
    except OSError as error:
        raise CorruptStateError(f"{path} cannot be read ({error.strerror}); {way_out}") from error
    except (ValueError, RecursionError) as error:
        raise CorruptStateError(f"{path} cannot be read as JSON ({error}); {way_out}") from error
    if not isinstance(document, dict) or document.pop(SEAL, None) != _hash(document):
        raise CorruptStateError(f"{path} does not match its own hash: it was changed; {way_out}")
    return document


def _hash(document: object) -> str:
    return hashlib.sha256(json.dumps(document, sort_keys=True).encode()).hexdigest()
