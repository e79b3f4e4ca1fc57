"""A supernet's weights on disk."""

from __future__ import annotations

from pathlib import Path

from aebnas_bo.supernet.supernet import Supernet
from aebnas_bo.training.checkpoint import check_fit, load_tensors, save_tensors


def save_supernet(path: Path, supernet: Supernet, fingerprint: str) -> None:
    """Write a supernet's weights."""
    save_tensors(path, supernet.state_dict(), {"fingerprint": fingerprint})


def load_supernet(path: Path, supernet: Supernet, fingerprint: str) -> None:
    """Read weights into a supernet, which stays as it was if they cannot be used.

    Raises:
        CorruptStateError: As `load_tensors`, or if the weights do not fit.
    """
    tensors, _ = load_tensors(path, fingerprint)
    check_fit(path, tensors, supernet.state_dict())
    supernet.load_state_dict(tensors)
