"""Number of training images of a configuration, without reading the images."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from aebnas_bo.data.image_sources import list_images
from aebnas_bo.errors import DataError

SIZES = {"cifar10": 50_000, "cifar100": 50_000, "svhn": 73_257}  # training images of built-in data sets


def num_training_images(
    dataset: str, root: Path | None, *, max_images: int | None, max_classes: int | None
) -> int | None:
    """Return the number of training images, including those set aside for validation.

    Args:
        dataset: Name of the data set.
        root: Folder of the images of `imagefolder`.
        max_images: `data.max_train_images`.
        max_classes: `data.max_classes`.

    Returns:
        The number, or `None` if the images cannot be found; loading them reports the error.
    """
    count = SIZES.get(dataset)
    if dataset == "imagefolder" and root is not None:
        try:
            members = list_images(root)
        except DataError:
            return None
        by_class = Counter(member.class_name for member in members if member.split == "train")
        count = sum(by_class[name] for name in sorted(by_class)[:max_classes])
    if not count:
        return None
    return count if max_images is None else min(count, max_images)
