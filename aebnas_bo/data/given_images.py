"""Images given from Python: arrays, torch data sets, splits of Hugging Face `datasets`, or a class of the user's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol, cast

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from aebnas_bo.data.decoding import image_array
from aebnas_bo.data.images import Dataset, LabelledImages
from aebnas_bo.errors import DataError

IMAGE_KEYS, LABEL_KEYS = ("image", "img", "pixel_values"), ("label", "labels", "fine_label")
BYTES = 255.0

Row = tuple[object, object] | Mapping[str, object]


class ImageDataset(Protocol):
    """Images with their classes.

    A row is an `(image, label)` pair, as torch data sets have it, or a mapping with the keys `image` and `label`, as
    Hugging Face `datasets` has it. An image is a PIL image, a uint8 array `H x W` or `H x W x C`, or a tensor
    `C x H x W` (uint8, or floats in [0, 1]). A label is an integer that counts from 0.

    Names of classes are read from `class_names`, `classes` or `features["label"].names` if there is one of them.
    """

    def __len__(self) -> int:
        """Number of images."""

    def __getitem__(self, index: int, /) -> Row:
        """Return an image with its label.

        Args:
            index: From 0.
        """


Arrays = tuple[np.ndarray | Tensor, np.ndarray | Tensor | Sequence[int]]
"""Images, `N x H x W`, `N x H x W x C` or (a tensor) `N x C x H x W`, and their `N` labels."""


def given_dataset(train: ImageDataset | Arrays, test: ImageDataset | Arrays | None, *, size: int | None) -> Dataset:
    """Return images that were given from Python as a data set.

    Args:
        train: Training images, from which calibration and validation images are taken.
        test: Test images; `None` takes some of the training images.
        size: Side in pixels to which images are resized; `None` keeps their size.

    Raises:
        DataError: If images have different sizes, other types, or labels that do not fit.
    """
    images = _read(train, "train", size)
    tested = None if test is None else _read(test, "test", size)
    if tested is not None and tested.images.shape[1:] != images.images.shape[1:]:
        raise DataError(
            f"training images are {_shape(images)}, test images {_shape(tested)} (channels x height x width); give "
            "images of one shape, or set data.image_size"
        )
    num_classes = 1 + max(int(one.labels.max()) for one in (images, tested) if one is not None)
    names = _class_names(train) or tuple(str(label) for label in range(num_classes))
    if len(names) < num_classes:
        raise DataError(f"the data set names {len(names)} classes, but its labels go up to {num_classes - 1}")
    return Dataset("given", names, images, tested)


def _read(source: ImageDataset | Arrays, split: str, size: int | None) -> LabelledImages:
    if isinstance(source, tuple):
        pixels, labels = source
        images = [_pixels(image, f"{split} images[{number}]", size) for number, image in enumerate(pixels)]
        given = [int(label) for label in labels]
        if len(given) != len(images):
            raise DataError(f"{split}: expected one label for each of {len(images)} images, got {len(given)}")
    else:
        rows = [_row(source[number], split) for number in range(len(source))]
        images = [_pixels(image, f"{split}[{number}]", size) for number, (image, _) in enumerate(rows)]
        given = [label for _, label in rows]
    if not images:
        raise DataError(f"{split}: expected images, got none")
    shapes = {image.shape for image in images}
    if len(shapes) > 1:
        some = ", ".join("x".join(map(str, shape)) for shape in sorted(shapes)[:3])
        raise DataError(
            f"{split}: images have different shapes ({some}); set data.image_size, to which all are resized"
        )
    return LabelledImages(torch.from_numpy(np.stack(images)), torch.tensor(given, dtype=torch.int64))


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


def _pixels(image: object, origin: str, size: int | None) -> np.ndarray:
    """Return an image as `C x H x W` uint8."""
    if isinstance(image, Tensor):
        array = image.detach().cpu()
        if array.is_floating_point():
            if not (float(array.min()) >= 0.0 and float(array.max()) <= 1.0):
                raise DataError(f"{origin}: expected floats in [0, 1]; give images before they are normalised")
            array = (array * BYTES).round().to(torch.uint8)
        image = array.numpy().transpose(1, 2, 0) if array.ndim == 3 else array.numpy()
    if isinstance(image, np.ndarray):
        if image.dtype != np.uint8 or image.ndim not in (2, 3):
            raise DataError(f"{origin}: expected uint8 of shape H x W or H x W x C, got {image.dtype} {image.shape}")
        image = Image.fromarray(image[:, :, 0] if image.ndim == 3 and image.shape[2] == 1 else image)
    if not isinstance(image, Image.Image):
        raise DataError(f"{origin}: expected a PIL image, an array or a tensor, got {type(image).__name__}")
    if size is None and image.width != image.height:
        raise DataError(f"{origin}: is {image.width}x{image.height}; set data.image_size, to which all are resized")
    channels = 1 if image.mode in ("1", "L", "I;16") else 3
    return image_array(image, size or image.width, channels)


def _class_names(source: object) -> tuple[str, ...]:
    features = getattr(source, "features", None)
    if isinstance(features, Mapping):
        label = next((features[key] for key in LABEL_KEYS if key in features), None)
        return tuple(map(str, getattr(label, "names", None) or ()))
    names = getattr(source, "class_names", None) or getattr(source, "classes", None) or ()
    return tuple(map(str, names))


def _shape(images: LabelledImages) -> str:
    return "x".join(map(str, images.images.shape[1:]))
