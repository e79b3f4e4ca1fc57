"""Frozen, stratified, seeded splits, each with one purpose.

Train for weights, calibration for BatchNorm statistics, validation for search and thresholds, test for nothing but
the final report.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property

import torch
from sklearn.model_selection import train_test_split
from torch import Tensor

from aebnas_bo.config import DataConfig
from aebnas_bo.data.images import Dataset, LabelledImages
from aebnas_bo.errors import DataError
from aebnas_bo.seeding import child_seed

SMALLEST_STD = 1e-3  # a channel that never varies must not divide by zero


@dataclass(frozen=True)
class Splits:
    """The four splits with what normalises them.

    Args:
        train: Images for weights.
        calibration: Images for BatchNorm statistics.
        validation: Images for search and thresholds.
        test: Images for the final report.
        class_names: Names of the classes, by label.
        mean: Mean of each channel over the training split, in [0, 1].
        std: Standard deviation likewise.
    """

    train: LabelledImages
    calibration: LabelledImages
    validation: LabelledImages
    test: LabelledImages
    class_names: tuple[str, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]

    @property
    def num_classes(self) -> int:
        """Number of classes, `K`."""
        return len(self.class_names)

    @property
    def in_channels(self) -> int:
        """Channels of an image."""
        return self.train.images.shape[1]

    @property
    def image_size(self) -> int:
        """Height of an image in pixels."""
        return self.train.images.shape[2]

    @cached_property
    def data_hash(self) -> str:
        """SHA-256 over all four splits."""
        parts = (self.train, self.calibration, self.validation, self.test)
        return hashlib.sha256("".join(part.content_hash() for part in parts).encode()).hexdigest()


def make_splits(dataset: Dataset, config: DataConfig) -> Splits:
    """Split a data set.

    Args:
        dataset: What to split; without a test split of its own, one is carved out first.
        config: Fractions and seed.

    Raises:
        DataError: If a class is missing from a split.
    """
    pool, test = dataset.train, dataset.test
    if test is None:
        pool, test = _carve(pool, config.test_fraction, config, "test")
    num_pool = len(pool)
    rest, validation = _carve(pool, config.validation_fraction, config, "validation")
    share = config.calibration_fraction * num_pool / len(rest)
    train, calibration = _carve(rest, share, config, "calibration")
    mean, std = _channel_statistics(train.images)
    splits = Splits(train, calibration, validation, test, dataset.class_names, mean, std)
    _check_classes(splits)
    return splits


def stratified_indices(labels: Tensor, count: int, config: DataConfig, name: str) -> Tensor:
    """Return the sorted positions of a stratified subset.

    Args:
        labels: Classes of all candidates, `N`.
        count: Size of the subset; all positions if it is `N` or more.
        config: Holds the seed.
        name: Names the stream of random numbers.

    Raises:
        DataError: If the subset would be smaller than the number of classes.
    """
    positions = torch.arange(len(labels))
    if count >= len(labels):
        return positions
    chosen, _ = _split_positions(labels, positions, len(labels) - count, config, name)
    return chosen


def _carve(
    images: LabelledImages, fraction: float, config: DataConfig, name: str
) -> tuple[LabelledImages, LabelledImages]:
    """Return what is left and what was carved out."""
    count = max(round(fraction * len(images)), 1)
    left, carved = _split_positions(images.labels, torch.arange(len(images)), count, config, name)
    return images.subset(left), images.subset(carved)


def _split_positions(
    labels: Tensor, positions: Tensor, count: int, config: DataConfig, name: str
) -> tuple[Tensor, Tensor]:
    seed = child_seed(config.split_seed, "split", name) % 2**32
    try:
        left, carved = train_test_split(positions.numpy(), test_size=count, random_state=seed, stratify=labels.numpy())
    except ValueError as error:
        raise DataError(
            f"{len(labels)} images in {len(torch.unique(labels))} classes cannot be split for {name}: {error}; "
            "give more images per class or change the data.*_fraction settings"
        ) from error
    return torch.from_numpy(left).sort().values, torch.from_numpy(carved).sort().values


def _channel_statistics(images: Tensor) -> tuple[tuple[float, ...], tuple[float, ...]]:
    channels = images.transpose(0, 1).flatten(1).double() / 255.0
    std = channels.std(dim=1).clamp_min(SMALLEST_STD)
    return tuple(channels.mean(dim=1).tolist()), tuple(std.tolist())


def _check_classes(splits: Splits) -> None:
    for name in ("train", "calibration", "validation", "test"):
        part: LabelledImages = getattr(splits, name)
        missing = sorted(set(range(splits.num_classes)) - set(torch.unique(part.labels).tolist()))
        if missing:
            names = ", ".join(splits.class_names[label] for label in missing)
            raise DataError(
                f"the {name} split has no image of: {names}; give more images of these classes or a larger fraction"
            )
