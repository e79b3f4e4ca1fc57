"""Stratified, seeded splits, each with one purpose.

Train is for weights, calibration for BatchNorm statistics and temperatures, validation for search and thresholds, and
test only for final results.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import torch
from sklearn.model_selection import train_test_split
from torch import Tensor

from aebnas_bo.data.groups import carve_groups, check_groups
from aebnas_bo.data.images import NO_FILES, Dataset, ImageOrigin, LabelledImages
from aebnas_bo.data.settings import DataConfig
from aebnas_bo.data.transforms import normalize
from aebnas_bo.errors import DataError
from aebnas_bo.seeding import child_seed, torch_generator

KEPT_SHARE, LEAST_KEPT = 0.25, 200  # share and smallest number of validation images kept in a final training
SMALLEST_STD = 1e-3  # avoids division by zero for a constant channel


@dataclass(frozen=True, eq=False)
class Splits:
    """Four splits and the statistics for normalisation.

    Args:
        train: Images for weights.
        calibration: Images for BatchNorm statistics and temperatures.
        validation: Images for search and thresholds.
        test: Images for final results.
        class_names: Names of the classes, by label.
        mean: Mean of each channel over the training split, in [0, 1].
        std: Standard deviation of each channel over the training split.
        origin: Origin of the images.
        has_own_validation: Whether the data set comes with a validation split.
    """

    train: LabelledImages
    calibration: LabelledImages
    validation: LabelledImages
    test: LabelledImages
    class_names: tuple[str, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    origin: ImageOrigin = NO_FILES
    has_own_validation: bool = False

    @property
    def num_classes(self) -> int:
        """Number of classes, `K`."""
        return len(self.class_names)

    @property
    def in_channels(self) -> int:
        """Number of channels, `C`."""
        return self.train.images.shape[1]

    @property
    def image_size(self) -> int:
        """Side of an image in pixels."""
        return self.train.images.shape[2]

    def normalized_batches(
        self, images: Tensor, batch_size: int, *, device: torch.device | str = "cpu"
    ) -> Iterator[Tensor]:
        """Yield images as floats, batch by batch: all at once they would need four times the memory of their bytes.

        Args:
            images: `N x C x H x W`, uint8.
            batch_size: Images per batch.
            device: Device of the batches.
        """
        for batch in torch.split(images, batch_size):
            yield normalize(batch, self.mean, self.std, device=device)

    @cached_property
    def data_hash(self) -> str:
        """SHA-256 over all four splits, as 64 hexadecimal digits."""
        parts = (self.train, self.calibration, self.validation, self.test)
        return hashlib.sha256("".join(part.content_hash() for part in parts).encode()).hexdigest()


def make_splits(dataset: Dataset, config: DataConfig) -> Splits:
    """Split a data set into four disjoint parts, each with every class.

    If training images have groups, images of one class and group stay in one part, and the fractions count groups.
    Every part has an image of each class, or a group, also where a fraction alone would give fewer.

    Args:
        dataset: Data set to split; without a test split, one is split off the training images first.
        config: Fractions and seed. Calibration and validation are fractions of all training images.

    Raises:
        DataError: If a split cannot hold every class; the message names the fraction to change.
    """
    pool, test, own = dataset.train, dataset.test, dataset.validation
    num_parts = 4 - (test is not None) - (own is not None)
    if pool.groups is not None:
        check_groups(pool.labels, pool.groups, dataset.class_names, num_parts=num_parts)
    else:
        _check_counts(pool.labels, dataset.class_names, num_parts)
    if test is None:
        pool, test = _carve(pool, _count(config.test_fraction, pool), config, name="test", num_left=num_parts - 1)
    num_calibration = _count(config.calibration_fraction, pool)
    rest, validation = (
        (pool, own)
        if own is not None
        else _carve(pool, _count(config.validation_fraction, pool), config, name="validation", num_left=2)
    )
    train, calibration = _carve(rest, num_calibration, config, name="calibration")
    mean, std = _channel_statistics(train.images)
    splits = Splits(
        train, calibration, validation, test, dataset.class_names, mean, std, dataset.origin, own is not None
    )
    _check_classes(splits, has_own_test=dataset.test is not None)
    return splits


def final_splits(splits: Splits, config: DataConfig) -> Splits:
    """Return the splits for final training, which also trains on images that only the search needed.

    Calibration images join the training images, and so do validation images beyond a quarter of them or `LEAST_KEPT`,
    if that is more. The others are kept for thresholds, temperatures and validation results. Groups of images stay
    together; a class with a single group of validation images keeps it. Validation images that come with a data set are
    never trained on.

    Args:
        splits: Splits of the search.
        config: Contains the seed.

    Returns:
        The new splits, in which the kept images serve for validation and calibration.
    """
    kept, spare = splits.validation, None
    if not splits.has_own_validation:
        kept, spare = _kept_and_spare(splits.validation, config)
    train = _joined(splits.train, splits.calibration, *([spare] if spare is not None else []))
    return replace(splits, train=train, calibration=kept, validation=kept)


def _kept_and_spare(validation: LabelledImages, config: DataConfig) -> tuple[LabelledImages, LabelledImages | None]:
    """Return the validation images to keep, and those to train on; `None` if there are too few."""
    labels = validation.labels
    units = labels if validation.groups is None else labels[_first_of_each_group(validation)]
    is_alone = torch.bincount(units, minlength=int(labels.max()) + 1)[labels] < 2
    alone, several = validation.subset(is_alone.nonzero().flatten()), validation.subset((~is_alone).nonzero().flatten())
    num_classes = len(torch.unique(several.labels))
    wanted = max(round(KEPT_SHARE * len(validation)), LEAST_KEPT) - len(alone)
    if not len(several) or wanted >= len(several) - num_classes:
        return validation, None
    spare, kept = _carve(several, max(wanted, num_classes), config, name="validation")
    return (_joined(kept, alone) if len(alone) else kept), spare


def _joined(*parts: LabelledImages) -> LabelledImages:
    return LabelledImages(torch.cat([one.images for one in parts]), torch.cat([one.labels for one in parts]))


def _first_of_each_group(images: LabelledImages) -> Tensor:
    """Return the position of one image of each group of each class."""
    assert images.groups is not None
    pairs = torch.stack([images.labels, images.groups], dim=1)
    _, inverse = torch.unique(pairs, dim=0, return_inverse=True)
    return torch.stack([(inverse == number).nonzero()[0, 0] for number in torch.unique(inverse)])


def set_aside(images: LabelledImages, fraction: float, seed: int) -> tuple[LabelledImages, LabelledImages]:
    """Split a class-balanced support set off some images.

    Args:
        images: Images to split.
        fraction: Share of the support set; at most half the images of each class.
        seed: Random seed.

    Returns:
        The remaining images, and the support set in random order: BatchNorm over a batch of one class is biased.

    Raises:
        DataError: If a class has only one image.
    """
    counts = torch.bincount(images.labels).tolist()
    if 1 in counts:
        raise DataError("a support set needs at least two images of every class; add images or set peak_weight: 0")
    each = max(round(fraction * len(images) / sum(count > 0 for count in counts)), 1)
    generator = torch_generator(seed, "split", "support")
    order = torch.randperm(len(images), generator=generator)
    shuffled = images.labels[order]
    given = [order[shuffled == label][: min(each, count // 2)] for label, count in enumerate(counts)]
    aside = torch.cat(given)
    aside = aside[torch.randperm(len(aside), generator=generator)]
    is_left = torch.ones(len(images), dtype=torch.bool)
    is_left[aside] = False
    return images.subset(is_left.nonzero().flatten()), images.subset(aside)


def stratified_indices(labels: Tensor, count: int, config: DataConfig, *, split: str) -> Tensor:
    """Return the sorted positions of a stratified subset.

    Args:
        labels: Classes of all candidates, `N`.
        count: Size of the subset; all positions if it is `N` or more.
        config: Contains the seed.
        split: `train` or `test`; selects the random numbers and the setting named in messages.

    Returns:
        `min(count, N)` positions, int64.

    Raises:
        DataError: If the subset is smaller than the number of classes, or a class has only one image.
    """
    if count >= len(labels):
        return torch.arange(len(labels))
    num_classes, num_dropped = len(torch.unique(labels)), len(labels) - count
    if count < num_classes:
        raise DataError(
            f"data.max_{split}_images: expected at least {num_classes}, one image of each class, got {count}"
        )
    if num_dropped < num_classes:
        return _without_few(labels, num_dropped, torch_generator(config.split_seed, "split", f"{split} subset"))
    seed = child_seed(config.split_seed, "split", f"{split} subset") % 2**32
    return _stratified(labels, num_dropped, seed=seed, setting=f"data.max_{split}_images = {count}")[0]


def _without_few(labels: Tensor, num_dropped: int, generator: torch.Generator) -> Tensor:
    """Drop fewer images than classes, one by one from the largest class; scikit-learn needs one of each class."""
    keep = torch.ones(len(labels), dtype=torch.bool)
    for _ in range(num_dropped):
        largest = torch.bincount(labels[keep]).argmax()
        candidates = (keep & (labels == largest)).nonzero().flatten()
        keep[candidates[torch.randint(len(candidates), (1,), generator=generator)]] = False
    return keep.nonzero().flatten()


def _count(fraction: float, images: LabelledImages) -> int:
    return max(round(fraction * len(images)), 1)


def _carve(
    images: LabelledImages, count: int, config: DataConfig, *, name: str, num_left: int = 1
) -> tuple[LabelledImages, LabelledImages]:
    """Return remaining and carved-out images, with at least `num_left` and one of each class if there are enough.

    A count below the number of classes becomes one image of each.
    """
    seed = child_seed(config.split_seed, "split", name) % 2**32
    if images.groups is not None:
        share = count / len(images)
        left_at, carved_at = carve_groups(images.labels, images.groups, share, seed=seed)
        return images.subset(left_at), images.subset(carved_at)
    num_classes = len(torch.unique(images.labels))
    count = max(count, num_classes)
    left = len(images) - count
    if left < num_classes:
        raise DataError(
            f"data.{name}_fraction: expected at least one image of each of {num_classes} classes in both parts, got "
            f"{count} {name} images and {left} others; lower it or use more images (data.max_train_images)"
        )
    left_at, carved_at = _stratified(images.labels, count, seed=seed, setting=f"data.{name}_fraction")
    left_at, carved_at = _with_every_class(images.labels, left_at, carved_at, num_left=num_left)
    return images.subset(left_at), images.subset(carved_at)


def _with_every_class(labels: Tensor, left_at: Tensor, carved_at: Tensor, *, num_left: int) -> tuple[Tensor, Tensor]:
    """Move images of small classes, which a fraction alone would leave out of one part."""
    for label in torch.unique(labels).tolist():
        left, carved = left_at[labels[left_at] == label], carved_at[labels[carved_at] == label]
        if not len(carved) and len(left) > num_left:
            left_at, carved_at = left_at[left_at != left[-1]], torch.cat([carved_at, left[-1:]])
        for moved in carved[1:][: max(num_left - len(left), 0)].tolist():
            left_at, carved_at = torch.cat([left_at, torch.tensor([moved])]), carved_at[carved_at != moved]
    return left_at.sort().values, carved_at.sort().values


def _check_counts(labels: Tensor, class_names: Sequence[str], num_parts: int) -> None:
    """Check that every class has an image for each split that is made from the training images."""
    counts = torch.bincount(labels, minlength=len(class_names)).tolist()
    few = [f"{name} ({count})" for name, count in zip(class_names, counts, strict=True) if count < num_parts]
    if few:
        raise DataError(
            f"expected at least {num_parts} training images of every class, one for each split made from them, "
            f"got fewer of: {', '.join(few)}; add images or remove these classes"
        )


def _stratified(labels: Tensor, count: int, *, seed: int, setting: str) -> tuple[Tensor, Tensor]:
    """Return the sorted positions of the remaining images and of `count` carved-out ones."""
    try:
        left, carved = train_test_split(
            torch.arange(len(labels)).numpy(), test_size=count, random_state=seed, stratify=labels.numpy()
        )
    except ValueError as error:
        raise DataError(
            f"{setting}: {len(labels)} images in {len(torch.unique(labels))} classes cannot be split: {error}; "
            "use more images of the smallest classes (data.max_train_images) or lower the data.*_fraction settings"
        ) from error
    return torch.from_numpy(left).sort().values, torch.from_numpy(carved).sort().values


def _channel_statistics(images: Tensor) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return mean and standard deviation of each channel, in [0, 1], exactly and with little memory."""
    values = torch.arange(256, dtype=torch.float64) / 255.0
    counts = torch.stack([torch.bincount(c, minlength=256) for c in images.transpose(0, 1).flatten(1)]).double()
    total = counts.sum(dim=1)
    mean = (counts @ values) / total
    variance = (counts * (values - mean.unsqueeze(1)).square()).sum(dim=1) / (total - 1.0)
    return tuple(mean.tolist()), tuple(variance.sqrt().clamp_min(SMALLEST_STD).tolist())


def _check_classes(splits: Splits, has_own_test: bool) -> None:
    """Check that splits that come with the data set have every class; the others have by construction."""
    remedies = {"validation": "add", "test": "raise data.max_test_images or add" if has_own_test else "add"}
    for name, remedy in remedies.items():
        part: LabelledImages = getattr(splits, name)
        missing = sorted(set(range(splits.num_classes)) - set(torch.unique(part.labels).tolist()))
        if missing:
            names = ", ".join(splits.class_names[label] for label in missing)
            raise DataError(
                f"expected every class in the {name} split, but it has no image of: {names}; {remedy} images of "
                "these classes"
            )
