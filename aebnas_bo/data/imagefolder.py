"""Any folder, or tar archive, of `train/<class>/*` and `test/<class>/*` images."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from aebnas_bo.data.decoding import decode_image
from aebnas_bo.data.groups import number_groups
from aebnas_bo.data.image_sources import SPLITS, Member, list_images, read_images
from aebnas_bo.data.images import Dataset, LabelledImages
from aebnas_bo.data.settings import DataConfig
from aebnas_bo.data.splits import stratified_indices
from aebnas_bo.errors import DataError

LAYOUT = "expected train/<class>/<image> and, where there is a test split, test/<class>/<image>"


def load_imagefolder(config: DataConfig) -> Dataset:
    """Read a folder or archive of class folders; only the chosen subset is read and decoded.

    Args:
        config: `root`, `image_size` in pixels, the sizes of subsets and the pattern of groups.

    Returns:
        RGB images, in the order of their classes and names: the same from a folder and from an archive of it.

    Raises:
        DataError: If the place is missing or laid out otherwise, classes differ between the splits or are too few or
            too small, an image cannot be decoded, or the name of a training image does not match the pattern.
    """
    if config.image_size is None:
        raise DataError("data.image_size is null; imagefolder needs the side in pixels all images are resized to")
    root = config.folder
    places = list_images(root)
    listed = {split: sorted(member for member in places if member.split == split) for split in SPLITS}
    class_names = _class_names(root, listed)[: config.max_classes]
    listed = {split: [member for member in listed[split] if member.class_name in class_names] for split in SPLITS}
    limits = {"train": config.max_train_images, "test": config.max_test_images}
    chosen = {split: _choose(listed[split], class_names, limit=limits[split], config=config) for split in SPLITS}
    groups = None
    if config.group_pattern is not None:
        groups = number_groups([member.name for member in chosen["train"]], config.group_pattern)
    size = config.image_size
    pixels = {split: np.empty((len(chosen[split]), 3, size, size), dtype=np.uint8) for split in SPLITS}
    position = {member: i for split in SPLITS for i, member in enumerate(chosen[split])}
    for member, data in read_images(root, {member: places[member] for member in position}):
        pixels[member.split][position[member]] = decode_image(data, size, 3, origin=f"{root}: {'/'.join(member)}")
    train, test = (
        LabelledImages(torch.from_numpy(pixels[split]), _labels(chosen[split], class_names), of_group)
        for split, of_group in zip(SPLITS, (groups, None), strict=True)
    )
    return Dataset(root.name, class_names, train, test if len(test) else None)


def _class_names(root: Path, listed: dict[str, list[Member]]) -> tuple[str, ...]:
    counts, test_counts = (Counter(member.class_name for member in listed[split]) for split in SPLITS)
    if len(counts) < 2:
        found = f"images of only one class, {next(iter(counts))}" if counts else "no training images"
        raise DataError(f"data.root: {LAYOUT}, of two classes or more; {root} has {found}")
    small = sorted(name for name, count in counts.items() if count < 2)
    if small:
        raise DataError(
            f"data.root: expected two or more training images of each class, {root} has one of: {', '.join(small)}; "
            "add images or remove these classes"
        )
    if test_counts and set(test_counts) != set(counts):
        only_train = ", ".join(sorted(set(counts) - set(test_counts))) or "none"
        only_test = ", ".join(sorted(set(test_counts) - set(counts))) or "none"
        raise DataError(
            f"data.root: expected the same classes in train and test, {root} has only in train: {only_train}; "
            f"only in test: {only_test}; add or remove these folders"
        )
    return tuple(sorted(counts))


def _choose(
    members: list[Member], class_names: tuple[str, ...], *, limit: int | None, config: DataConfig
) -> list[Member]:
    if limit is None or limit >= len(members):
        return members
    indices = stratified_indices(_labels(members, class_names), limit, config, split=members[0].split)
    return [members[i] for i in indices.tolist()]


def _labels(members: list[Member], class_names: tuple[str, ...]) -> Tensor:
    label = {name: index for index, name in enumerate(class_names)}
    return torch.tensor([label[member.class_name] for member in members], dtype=torch.int64)
