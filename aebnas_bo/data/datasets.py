"""Loading of data sets into memory."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from sklearn.datasets import load_digits
from torch import Tensor
from torchvision import datasets as tv

from aebnas_bo.data.given_images import Arrays, ImageDataset, given_dataset
from aebnas_bo.data.imagefolder import load_imagefolder
from aebnas_bo.data.images import Dataset, ImageOrigin, LabelledImages
from aebnas_bo.data.picture_loading import conversion_of
from aebnas_bo.data.settings import DataConfig
from aebnas_bo.data.splits import Splits, make_splits, stratified_indices
from aebnas_bo.errors import DataError

DIGITS_MAXIMUM = 16.0  # pixels of scikit-learn's digits count the set pixels of a 4x4 block
RESIZE_BATCH = 1024  # images converted to floats at a time; bounds memory


def load_splits(config: DataConfig) -> Splits:
    """Load a data set and split it.

    Raises:
        DataError: If images are missing, unreadable or too few.
    """
    return make_splits(load_dataset(config), config)


def load_dataset(config: DataConfig) -> Dataset:
    """Load a data set.

    Args:
        config: Name and folder of the data set, number of images and their size.

    Raises:
        DataError: If it is missing or unreadable; the message names the path and the setting.
    """
    if config.dataset == "imagefolder":
        return load_imagefolder(config)
    if config.dataset == "given":
        raise DataError(
            "data.dataset: given means images that were passed from Python; open the study in Python with the same "
            "images: aebnas_bo.Study.open(folder, train=..., test=...)"
        )
    dataset = _limited(_digits() if config.dataset == "digits" else _torchvision(config), config)
    return replace(dataset, origin=ImageOrigin(conversion_of(config)))


def given_splits(train: ImageDataset | Arrays, test: ImageDataset | Arrays | None, config: DataConfig) -> Splits:
    """Split images that were passed from Python.

    Args:
        train: Training images, from which calibration and validation images are taken.
        test: Test images; `None` to split some off the training images.
        config: Size and number of images, fractions and seed.

    Raises:
        DataError: If train and test images do not match, or there are too few.
    """
    return make_splits(_limited(given_dataset(train, test, config), config), config)


def _limited(dataset: Dataset, config: DataConfig) -> Dataset:
    """Return a data set with the configured number, channels and size of images."""
    train = _prepared(dataset.train, config.max_train_images, config, split="train")
    test = None if dataset.test is None else _prepared(dataset.test, config.max_test_images, config, split="test")
    return replace(dataset, train=train, test=test)


def _prepared(images: LabelledImages, limit: int | None, config: DataConfig, *, split: str) -> LabelledImages:
    if limit is not None:
        images = images.subset(stratified_indices(images.labels, limit, config, split=split))
    pixels = images.images
    if config.channels != "auto" and pixels.shape[1] != config.channels:
        pixels = grey(pixels) if config.channels == 1 else pixels.expand(-1, config.channels, -1, -1).contiguous()
    if config.image_size is not None and pixels.shape[-1] != config.image_size:
        pixels = _resized(pixels, config.image_size)
    return images if pixels is images.images else LabelledImages(pixels, images.labels)


def grey(images: Tensor) -> Tensor:
    """Convert images to grey with the weights of ITU-R 601-2 and Pillow's rounding.

    Args:
        images: `N x 3 x H x W`, uint8.

    Returns:
        `N x 1 x H x W`, uint8.
    """
    return torch.cat([_grey_batch(batch.int()) for batch in torch.split(images, RESIZE_BATCH)])


def _grey_batch(images: Tensor) -> Tensor:
    red, green, blue = images.unbind(1)
    return ((red * 19595 + green * 38470 + blue * 7471 + 0x8000) >> 16).byte().unsqueeze(1)


def _resized(images: Tensor, size: int) -> Tensor:
    return torch.cat([_resized_batch(batch.float(), size) for batch in torch.split(images, RESIZE_BATCH)])


def _resized_batch(images: Tensor, size: int) -> Tensor:
    if images.shape[-1] % size == 0:
        resized = F.interpolate(images, (size, size), mode="area")
    else:
        resized = F.interpolate(images, (size, size), mode="bilinear", antialias=True)
    return resized.round().clamp(0, 255).byte()


def _digits() -> Dataset:
    bunch = load_digits()
    pixels = np.round(bunch.images * (255.0 / DIGITS_MAXIMUM)).astype(np.uint8)
    images = LabelledImages(torch.from_numpy(pixels).unsqueeze(1), torch.from_numpy(bunch.target).long())
    return Dataset("digits", tuple(str(name) for name in bunch.target_names), images, None)


def _torchvision(config: DataConfig) -> Dataset:
    root = config.folder
    readers: dict[str, Callable[[Path, bool], Dataset]] = {
        "cifar10": _cifar10,
        "cifar100": _cifar100,
        "svhn": _svhn,
    }
    try:
        return readers[config.dataset](root, config.download)
    except (RuntimeError, OSError, ValueError) as error:
        raise DataError(
            f"{config.dataset} cannot be read from {root} ({error}); give its folder with --set data.root=PATH or "
            "download it with --set data.download=true"
        ) from error


def _cifar10(root: Path, download: bool) -> Dataset:
    parts = [tv.CIFAR10(str(root), train=train, download=download) for train in (True, False)]
    train, test = (_from_arrays(part.data, part.targets) for part in parts)
    return Dataset("cifar10", tuple(parts[0].classes), train, test)


def _cifar100(root: Path, download: bool) -> Dataset:
    parts = [tv.CIFAR100(str(root), train=train, download=download) for train in (True, False)]
    train, test = (_from_arrays(part.data, part.targets) for part in parts)
    return Dataset("cifar100", tuple(parts[0].classes), train, test)


def _svhn(root: Path, download: bool) -> Dataset:
    parts = [tv.SVHN(str(root), split=split, download=download) for split in ("train", "test")]
    classes = tuple(str(digit) for digit in range(10))
    train, test = (_from_arrays(part.data.transpose(0, 2, 3, 1), part.labels) for part in parts)
    return Dataset("svhn", classes, train, test)


def _from_arrays(pixels: np.ndarray, labels: list[int] | np.ndarray) -> LabelledImages:
    images = torch.from_numpy(np.ascontiguousarray(pixels)).permute(0, 3, 1, 2).contiguous()
    return LabelledImages(images, torch.as_tensor(np.asarray(labels), dtype=torch.int64))
