"""Images passed from Python: arrays, torch data sets, splits of Hugging Face `datasets` or a user's own class."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol, cast

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from aebnas_bo.data.images import Dataset, ImageOrigin, LabelledImages
from aebnas_bo.data.picture_loading import PictureLoader
from aebnas_bo.data.settings import DataConfig
from aebnas_bo.errors import DataError

IMAGE_KEYS, LABEL_KEYS = ("image", "img", "pixel_values"), ("label", "labels", "fine_label")
BYTES = 255.0

Row = tuple[object, object] | Mapping[str, object]


class ImageDataset(Protocol):
    """Interface for data sets: images with their labels.

    A row is an `(image, label)` pair, as in torch data sets, or a mapping with the keys `image` and `label`, as in
    Hugging Face `datasets`. An image is a PIL image, an array `H x W` (uint8 or uint16) or `H x W x C` (uint8), or a
    tensor `C x H x W` (uint8, or floats in [0, 1]). With 2 or 4 channels the last one is the alpha channel. A label is
    an integer from 0.

    Class names are read from `class_names`, `classes` or `features["label"].names`, if present.
    """

    def __len__(self) -> int:
        """Return the number of images."""

    def __getitem__(self, index: int, /) -> Row:
        """Return an image with its label.

        Args:
            index: Position of the row, from 0.
        """


Arrays = tuple[np.ndarray | Tensor, np.ndarray | Tensor | Sequence[int]]
"""Images, `N x H x W`, `N x H x W x C` or (as a tensor) `N x C x H x W`, and their `N` labels."""


def given_dataset(train: ImageDataset | Arrays, test: ImageDataset | Arrays | None, config: DataConfig) -> Dataset:
    """Convert images that were passed from Python to a data set.

    Args:
        train: Training images, from which calibration and validation images are taken.
        test: Test images; `None` to split some off the training images.
        config: Size of the images (null keeps their own), channels, background and fit.

    Raises:
        DataError: If sizes of images differ, or a type or label is not supported.
    """
    given = {"train": _Given(train, "train"), **({} if test is None else {"test": _Given(test, "test")})}
    size = config.image_size or given["train"].picture(0).width
    loader = PictureLoader({split: len(one) for split, one in given.items()}, size, config)
    for split, one in given.items():
        for number in range(len(one)):
            picture = one.picture(number)
            if config.image_size is None:
                _check_size(picture, size, f"{split}[{number}]")
            _add(loader.add, picture, split=split, number=number)
    loader.decide()
    for split, number in loader.waiting:
        _add(loader.add_again, given[split].picture(number), split=split, number=number)
    labels = {split: torch.tensor(one.labels(), dtype=torch.int64) for split, one in given.items()}
    parts = {split: LabelledImages(torch.from_numpy(loader.pixels[split]), labels[split]) for split in given}
    num_classes = 1 + max(int(one.max()) for one in labels.values())
    names = _class_names(train) or tuple(str(label) for label in range(num_classes))
    if len(names) < num_classes:
        raise DataError(
            f"expected labels below {len(names)}, the number of class names, got {num_classes - 1}; number the labels "
            "from 0, or name every class"
        )
    origin = ImageOrigin(loader.conversion, loader.counts)
    return Dataset("given", names, parts["train"], parts.get("test"), origin=origin)


class _Given:
    """Images of one split in any of the accepted forms.

    Args:
        source: Images with their labels.
        split: `train` or `test`, for messages.
    """

    def __init__(self, source: ImageDataset | Arrays, split: str) -> None:
        self._source, self._split = source, split
        self._labels: dict[int, int] = {}
        if not len(self):
            raise DataError(f"{split}: expected images, got none")

    def __len__(self) -> int:
        return len(self._source[0]) if isinstance(self._source, tuple) else len(self._source)

    def picture(self, number: int) -> Image.Image:
        """Return one image as a PIL image."""
        if isinstance(self._source, tuple):
            return _picture(self._source[0][number], f"{self._split} images[{number}]")
        image, self._labels[number] = _row(self._source[number], self._split)
        return _picture(image, f"{self._split}[{number}]")

    def labels(self) -> list[int]:
        """Return the labels of all images; requires a call of `picture` for every image."""
        if not isinstance(self._source, tuple):
            return [self._labels[number] for number in range(len(self))]
        labels = [int(label) for label in self._source[1]]
        if len(labels) != len(self):
            raise DataError(f"{self._split}: expected one label for each of {len(self)} images, got {len(labels)}")
        return labels


def _check_size(picture: Image.Image, size: int, origin: str) -> None:
    if picture.width != picture.height:
        raise DataError(
            f"{origin}: is {picture.width}x{picture.height}, not square; set data.image_size to resize all images"
        )
    if picture.width != size:
        raise DataError(
            f"{origin}: images have different sizes ({size}x{size} and {picture.width}x{picture.height}); set "
            "data.image_size to resize all images"
        )


def _add(add: Callable[[str, int, Image.Image], None], picture: Image.Image, *, split: str, number: int) -> None:
    try:
        add(split, number, picture)
    except ValueError as error:
        raise DataError(f"{split}[{number}]: {error}") from error


def _row(row: Row, split: str) -> tuple[object, int]:
    if isinstance(row, Mapping):
        image = next((row[key] for key in IMAGE_KEYS if key in row), None)
        label = next((row[key] for key in LABEL_KEYS if key in row), None)
        if image is None or label is None:
            raise DataError(f"{split}: expected rows with the keys image and label, got {', '.join(map(str, row))}")
        return image, _label(label, split)
    if not isinstance(row, tuple | list) or len(row) != 2:
        raise DataError(f"{split}: expected rows (image, label), got {type(row).__name__}")
    return row[0], _label(row[1], split)


def _label(label: object, split: str) -> int:
    try:
        return int(cast(int, label))
    except (TypeError, ValueError) as error:
        raise DataError(f"{split}: expected integers from 0 as labels, got {label!r}") from error


def _picture(image: object, origin: str) -> Image.Image:
    """Convert an image to a PIL image, whose mode defines its channels."""
    if isinstance(image, Tensor):
        array = image.detach().cpu()
        if array.is_floating_point():
            if not (float(array.min()) >= 0.0 and float(array.max()) <= 1.0):
                raise DataError(f"{origin}: expected floats in [0, 1]; pass images that are not normalised")
            array = (array * BYTES).round().to(torch.uint8)
        image = array.numpy().transpose(1, 2, 0) if array.ndim == 3 else array.numpy()
    if isinstance(image, np.ndarray):
        is_image = image.ndim == 2 or (image.ndim == 3 and image.shape[2] in (1, 2, 3, 4))
        image = image[:, :, 0] if image.ndim == 3 and image.shape[2] == 1 else image
        if not is_image or not (image.dtype == np.uint8 or (image.dtype == np.uint16 and image.ndim == 2)):
            raise DataError(
                f"{origin}: expected uint8 of shape H x W or H x W x C, or uint16 of shape H x W, got {image.dtype} "
                f"{image.shape}"
            )
        image = Image.fromarray(np.ascontiguousarray(image))
    if not isinstance(image, Image.Image):
        raise DataError(f"{origin}: expected a PIL image, an array or a tensor, got {type(image).__name__}")
    return image


def _class_names(source: object) -> tuple[str, ...]:
    features = getattr(source, "features", None)
    if isinstance(features, Mapping):
        label = next((features[key] for key in LABEL_KEYS if key in features), None)
        return tuple(map(str, getattr(label, "names", None) or ()))
    names = getattr(source, "class_names", None) or getattr(source, "classes", None) or ()
    return tuple(map(str, names))
