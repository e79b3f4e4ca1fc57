"""Labelled images in memory: bytes, decoded once."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import torch
from torch import Tensor

from aebnas_bo.errors import DataError


@dataclass(frozen=True)
class LabelledImages:
    """Images with their classes.

    Args:
        images: `N x C x H x W`, uint8.
        labels: `N`, int64.

    Raises:
        DataError: If shapes or types do not fit.
    """

    images: Tensor
    labels: Tensor

    def __post_init__(self) -> None:
        if self.images.ndim != 4 or self.images.dtype != torch.uint8:
            raise DataError(f"images must be N x C x H x W uint8, got {tuple(self.images.shape)} {self.images.dtype}")
        if self.labels.shape != self.images.shape[:1] or self.labels.dtype != torch.int64:
            raise DataError(
                f"expected one int64 label for each of {len(self.images)} images, got {tuple(self.labels.shape)} "
                f"{self.labels.dtype}"
            )

    def __len__(self) -> int:
        return len(self.labels)

    def subset(self, indices: Tensor) -> LabelledImages:
        """Return the images at the given positions."""
        return LabelledImages(self.images[indices], self.labels[indices])

    def content_hash(self) -> str:
        """Return a SHA-256 of shapes and contents."""
        digest = hashlib.sha256(str(tuple(self.images.shape)).encode())
        digest.update(self.images.contiguous().numpy().tobytes())
        digest.update(self.labels.contiguous().numpy().tobytes())
        return digest.hexdigest()


@dataclass(frozen=True)
class Dataset:
    """A data set as it comes: training images, and test images where it has a test split.

    Args:
        name: Its name.
        class_names: Names of the classes, by label.
        train: Training images.
        test: Test images, or `None`.
    """

    name: str
    class_names: tuple[str, ...]
    train: LabelledImages
    test: LabelledImages | None
