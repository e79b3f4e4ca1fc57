"""Labelled images in memory, decoded once and stored as bytes."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import torch
from torch import Tensor

from aebnas_bo.data.names import check_class_names
from aebnas_bo.data.picture_conversion import DEFAULT_CONVERSION, PictureConversion
from aebnas_bo.data.picture_loading import NO_COUNTS, PictureCounts
from aebnas_bo.errors import DataError


@dataclass(frozen=True, eq=False)  # `==` on tensors is elementwise
class LabelledImages:
    """Images with their labels.

    Args:
        images: Pixels, `N x C x H x W`, uint8.
        labels: Class of each image, `N`, int64.
        groups: Group of each image, `N`, int64; images of one class and group stay in one split. `None` for no groups.

    Raises:
        DataError: If shapes or types do not match.
    """

    images: Tensor
    labels: Tensor
    groups: Tensor | None = None

    def __post_init__(self) -> None:
        if self.images.ndim != 4 or self.images.dtype != torch.uint8:
            raise DataError(f"images must be N x C x H x W uint8, got {tuple(self.images.shape)} {self.images.dtype}")
        if self.labels.shape != self.images.shape[:1] or self.labels.dtype != torch.int64:
            raise DataError(
                f"expected one int64 label for each of {len(self.images)} images, got {tuple(self.labels.shape)} "
                f"{self.labels.dtype}"
            )
        if self.groups is not None and self.groups.shape != self.labels.shape:
            raise DataError(f"expected a group for each of {len(self.images)} images, got {tuple(self.groups.shape)}")
        if len(self.labels) and int(self.labels.min()) < 0:
            raise DataError(f"expected labels from 0, got {int(self.labels.min())}")

    def __len__(self) -> int:
        return len(self.labels)

    def subset(self, indices: Tensor) -> LabelledImages:
        """Return the images at the given positions.

        Args:
            indices: `M`, int64, each in [0, N).
        """
        groups = None if self.groups is None else self.groups[indices]
        return LabelledImages(self.images[indices], self.labels[indices], groups)

    def content_hash(self) -> str:
        """Return the SHA-256 of shape, pixels and labels as 64 hexadecimal digits."""
        digest = hashlib.sha256(str(tuple(self.images.shape)).encode())
        digest.update(self.images.cpu().contiguous().numpy().tobytes())
        digest.update(self.labels.cpu().contiguous().numpy().tobytes())
        return digest.hexdigest()


@dataclass(frozen=True)
class ImageOrigin:
    """Origin of the images of a data set.

    Args:
        conversion: Conversion of image files to pixels.
        counts: Properties of the image files.
        passed_over: Files and folders that were found but not used, each with its number or name.
        has_splits: Whether the files were in folders of splits, such as `train/`, rather than of classes only.
    """

    conversion: PictureConversion = DEFAULT_CONVERSION
    counts: PictureCounts = NO_COUNTS
    passed_over: tuple[str, ...] = ()
    has_splits: bool = True


NO_FILES = ImageOrigin()


@dataclass(frozen=True, eq=False)  # `==` on tensors is elementwise
class Dataset:
    """Data set with the splits that it comes with.

    Args:
        name: Name of the data set.
        class_names: Names of the classes, by label.
        train: Training images.
        test: Test images, or `None`.
        validation: Validation images, or `None`.
        origin: Origin of the images.

    Raises:
        DataError: If a label has no class name, a class name is not valid UTF-8, or the splits have images of
            different shapes.
    """

    name: str
    class_names: tuple[str, ...]
    train: LabelledImages
    test: LabelledImages | None
    validation: LabelledImages | None = None
    origin: ImageOrigin = NO_FILES

    def __post_init__(self) -> None:
        check_class_names(self.class_names, self.name)
        for split, part in (("train", self.train), ("validation", self.validation), ("test", self.test)):
            if part is None or not len(part):
                continue
            if int(part.labels.max()) >= len(self.class_names):
                raise DataError(
                    f"{self.name}: expected {split} labels below {len(self.class_names)}, the number of class names, "
                    f"got {int(part.labels.max())}"
                )
            if part.images.shape[1:] != self.train.images.shape[1:]:
                raise DataError(
                    f"{self.name}: expected {split} images of shape {tuple(self.train.images.shape[1:])} like the "
                    f"training images, got {tuple(part.images.shape[1:])}"
                )
