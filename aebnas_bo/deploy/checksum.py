"""Checksum embedded in a file, for formats without one, to detect damage before the file is used."""

from __future__ import annotations

import hashlib
import re

from aebnas_bo.deploy.description import NetworkFileError

UNSEALED = "sha256:" + "0" * 64
SEAL = re.compile(rb"sha256:[0-9a-f]{64}")


def seal(data: bytes) -> bytes:
    """Replace the placeholder `UNSEALED` in a file's contents by their hash.

    Args:
        data: The contents, which hold `UNSEALED` once; their length stays the same.
    """
    return data.replace(UNSEALED.encode(), f"sha256:{hashlib.sha256(data).hexdigest()}".encode())


def check_seal(data: bytes, origin: str) -> None:
    """Check contents against their embedded hash.

    Args:
        data: The contents of a file.
        origin: Name of the file, for messages.

    Raises:
        NetworkFileError: If they do not match, or hold no hash.
    """
    seals = SEAL.findall(data)
    if len(seals) != 1:
        raise NetworkFileError(f"{origin} was not written by aebnas_bo, or is damaged; export the network again")
    if seal(SEAL.sub(UNSEALED.encode(), data)) != data:
        raise NetworkFileError(f"{origin} is damaged: it does not match its hash; copy or export it again")
