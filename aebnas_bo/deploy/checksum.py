"""A hash that a file carries of itself, for formats that have none: a flipped bit is found before it is used."""

from __future__ import annotations

import hashlib
import re

from aebnas_bo.deploy.description import NetworkFileError

UNSEALED = "sha256:" + "0" * 64
SEAL = re.compile(rb"sha256:[0-9a-f]{64}")


def seal(data: bytes) -> bytes:
    """Put the hash of a file's contents in the place of `UNSEALED`, which they hold once.

    Args:
        data: The contents; of the same length afterwards.
    """
    return data.replace(UNSEALED.encode(), f"sha256:{hashlib.sha256(data).hexdigest()}".encode())


def check_seal(data: bytes, origin: str) -> None:
    """Check that contents are what was sealed.

    Args:
        data: The contents of a file.
        origin: Its name, for messages.

    Raises:
        NetworkFileError: If they are not, or were never sealed.
    """
    seals = SEAL.findall(data)
    if len(seals) != 1:
        raise NetworkFileError(f"{origin} was not written by aebnas_bo, or is damaged; export the network again")
    if seal(SEAL.sub(UNSEALED.encode(), data)) != data:
        raise NetworkFileError(f"{origin} does not match its own hash: it is damaged; copy or export it again")
