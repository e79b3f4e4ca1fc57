"""Splits that keep images of one group together, such as the frames of one video."""

from __future__ import annotations

import re
from collections.abc import Sequence

import torch
from sklearn.model_selection import GroupShuffleSplit
from torch import Tensor

from aebnas_bo.errors import DataError
from aebnas_bo.seeding import child_seed


def number_groups(names: Sequence[str], pattern: str) -> Tensor:
    """Return the group of each image as a number from 0.

    Args:
        names: Paths of `N` images relative to their class folders.
        pattern: Regular expression with one group; images whose matches of it are equal form one group.

    Returns:
        `N` integers, int64.

    Raises:
        DataError: If a name does not match.
    """
    matches = [re.search(pattern, name) for name in names]
    found = [None if match is None else match[1] for match in matches]
    missing = [name for name, group in zip(names, found, strict=True) if group is None]
    if missing:
        raise DataError(
            f"data.group_pattern: expected every file name to match {pattern!r}, {len(missing)} of {len(names)} do "
            f"not, for example {missing[0]}; change the pattern or rename these files"
        )
    numbers = {group: number for number, group in enumerate(sorted({str(group) for group in found}))}
    return torch.tensor([numbers[str(group)] for group in found], dtype=torch.int64)


def check_groups(labels: Tensor, groups: Tensor, class_names: Sequence[str], *, num_parts: int) -> None:
    """Check that every class has a group for each part.

    Args:
        labels: Classes of `N` images.
        groups: Group of each image.
        class_names: Names of the classes, by label.
        num_parts: Parts that the images will be split into.

    Raises:
        DataError: If a class has too few groups.
    """
    counts = {name: len(torch.unique(groups[labels == label])) for label, name in enumerate(class_names)}
    few = [f"{name} ({count})" for name, count in counts.items() if count < num_parts]
    if few:
        raise DataError(
            f"data.group_pattern: expected at least {num_parts} groups of images in every class, one for each split, "
            f"got fewer in: {', '.join(few)}; add images of other groups, change the pattern or set it to null"
        )


def carve_groups(labels: Tensor, groups: Tensor, share: float, *, seed: int) -> tuple[Tensor, Tensor]:
    """Split the groups of each class in two.

    Args:
        labels: Classes of `N` images, each with two groups or more.
        groups: Group of each image.
        share: Share of the groups of each class in the second part; at least one group, and never all.
        seed: Random seed.

    Returns:
        Sorted positions of the images of the first and of the second part.
    """
    is_carved = torch.zeros(len(labels), dtype=torch.bool)
    for label in torch.unique(labels).tolist():
        members = (labels == label).nonzero().flatten()
        num_groups = len(torch.unique(groups[members]))
        count = min(max(round(share * num_groups), 1), num_groups - 1)
        splitter = GroupShuffleSplit(1, test_size=count, random_state=child_seed(seed, "class", label) % 2**32)
        _, carved = next(splitter.split(members.numpy(), groups=groups[members].numpy()))
        is_carved[members[torch.from_numpy(carved)]] = True
    return (~is_carved).nonzero().flatten(), is_carved.nonzero().flatten()
