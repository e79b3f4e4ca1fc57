"""A supernet's weights on disk."""

from __future__ import annotations

from pathlib import Path

from aebnas_bo.errors import CorruptStateError
from aebnas_bo.storage.tensor_file import check_fit, load_layout, load_tensors, save_tensors
from aebnas_bo.supernet.weight_sharing import WeightSharing


def save_supernet(path: Path, supernet: WeightSharing, fingerprint: str) -> None:
    """Write a supernet's weights."""
    save_tensors(path, supernet.state_dict(), {"fingerprint": fingerprint})


def images_of_supernet(path: Path, fingerprint: str) -> tuple[int, int]:
    """Return channels of the images and number of classes a file's supernet was made for; its weights are not read.

    Raises:
        CorruptStateError: As `load_layout`, or if the file holds no supernet.
    """
    layout, _ = load_layout(path, fingerprint)
    try:
        return layout["stem.weight"][1][1], layout["classifier.weight"][1][0]
    except (KeyError, IndexError) as error:
        raise CorruptStateError(f"{path} holds no supernet: it lacks {error}; start another run folder") from error


def load_supernet(path: Path, supernet: WeightSharing, fingerprint: str) -> None:
    """Read weights into a supernet; it is unchanged if the file cannot be used.

    Raises:
        CorruptStateError: As `load_tensors`, or if the weights do not fit.
    """
    tensors, _ = load_tensors(path, fingerprint)
    check_fit(path, tensors, supernet.state_dict())
    supernet.load_state_dict(tensors)
