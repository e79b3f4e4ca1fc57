"""Data set from a folder or tar archive of class folders, with or without folders of splits."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor

from aebnas_bo.data.decoding import opened_picture
from aebnas_bo.data.file_trees import Place
from aebnas_bo.data.groups import number_groups
from aebnas_bo.data.image_sources import SPLITS, Member, look_through, passed_over, read_images
from aebnas_bo.data.images import Dataset, ImageOrigin, LabelledImages
from aebnas_bo.data.names import check_class_names, printable
from aebnas_bo.data.picture_loading import PictureLoader
from aebnas_bo.data.settings import DataConfig
from aebnas_bo.data.splits import stratified_indices
from aebnas_bo.errors import DataError

LAYOUT = (
    "expected train/<class>/<image>, beside it val/<class>/<image> and test/<class>/<image> if present; or "
    "<class>/<image> without splits"
)
NAMED = 3  # images listed in a message about several


def load_imagefolder(config: DataConfig) -> Dataset:
    """Load a folder or archive of class folders; only the chosen subset is read and decoded.

    Args:
        config: `root`, `image_size` in pixels, the sizes of subsets and `group_pattern`.

    Returns:
        Images with one or three channels, sorted by class and name. A folder and its archive give the same result.

    Raises:
        DataError: If the folder is missing or has another layout, the classes of the splits differ, there are too few
            classes or images, an image cannot be decoded, or a training image does not match `group_pattern`.
    """
    if config.image_size is None:
        raise DataError(
            "data.image_size is null, but imagefolder requires it; set it to the side in pixels of all images"
        )
    root = config.folder
    listing = look_through(root)
    listed = {split: sorted(member for member in listing.places if member.split == split) for split in SPLITS}
    check_class_names(sorted({member.class_name for member in listing.places}), f"data.root: {root}")
    class_names = _class_names(root, listed, listing.folders)[: config.max_classes]
    listed = {split: [member for member in listed[split] if member.class_name in class_names] for split in SPLITS}
    limits = {"train": config.max_train_images, "validation": None, "test": config.max_test_images}
    chosen = {split: _choose(listed[split], class_names, limit=limits[split], config=config) for split in SPLITS}
    groups = None
    if config.group_pattern is not None:
        groups = number_groups([member.name for member in chosen["train"]], config.group_pattern)
    loader = PictureLoader({split: len(chosen[split]) for split in SPLITS}, config.image_size, config)
    _read(root, listing.places, chosen, loader=loader)
    train, validation, test = (
        LabelledImages(torch.from_numpy(loader.pixels[split]), _labels(chosen[split], class_names), of_group)
        for split, of_group in zip(SPLITS, (groups, None, None), strict=True)
    )
    origin = ImageOrigin(loader.conversion, loader.counts, passed_over(listing), listing.has_splits)
    return Dataset(
        root.name, class_names, train, test if len(test) else None, validation if len(validation) else None, origin
    )


def _read(
    root: Path, places: Mapping[Member, Place], chosen: Mapping[str, Sequence[Member]], *, loader: PictureLoader
) -> None:
    """Read the chosen images; read those a second time whose conversion depends on all images."""
    position = {member: (split, i) for split in SPLITS for i, member in enumerate(chosen[split])}
    errors: list[DataError] = []

    def read(members: Iterable[Member], add: Callable[[str, int, Image.Image], None]) -> None:
        for member, data in read_images(root, {member: places[member] for member in members}, errors.append):
            try:
                with opened_picture(data, _origin(root, places[member])) as image:
                    add(*position[member], image)
            except DataError as error:
                errors.append(error)
        if errors:
            raise _all_of(errors)

    read(position, loader.add)
    loader.decide()
    read([chosen[split][i] for split, i in loader.waiting], loader.add_again)


def _origin(root: Path, place: Place) -> str:
    return printable(str(place) if isinstance(place, Path) else f"{root}: {place.name}")


def _all_of(errors: Sequence[DataError]) -> DataError:
    """Return one error that counts the failed images and lists the first of them."""
    if len(errors) == 1:
        return errors[0]
    named = "; ".join(str(error).rpartition(";")[0] for error in errors[:NAMED])
    more = f"; and {len(errors) - NAMED} more" if len(errors) > NAMED else ""
    return DataError(f"{len(errors)} images cannot be used: {named}{more}. Remove or replace them")


def _class_names(root: Path, listed: dict[str, list[Member]], folders: Mapping[str, str]) -> tuple[str, ...]:
    counts, *others = (Counter(member.class_name for member in listed[split]) for split in SPLITS)
    if len(counts) < 2:
        found = f"images of only one class, {next(iter(counts))}" if counts else "no training images"
        raise DataError(
            f"data.root: {LAYOUT}, with at least two classes; {root} has {found}; set data.root to such a folder"
        )
    small = sorted(name for name, count in counts.items() if count < 2)
    if small:
        raise DataError(
            f"data.root: expected at least two training images of each class, {root} has one of: {', '.join(small)}; "
            "add images or remove these classes"
        )
    for split, found_there in zip(SPLITS[1:], others, strict=True):
        if found_there and set(found_there) != set(counts):
            only_train = ", ".join(sorted(set(counts) - set(found_there))) or "none"
            only_other = ", ".join(sorted(set(found_there) - set(counts))) or "none"
            train, other = folders["train"], folders[split]
            raise DataError(
                f"data.root: expected the same classes in {train} and {other}, {root} has only in {train}: "
                f"{only_train}; only in {other}: {only_other}; add or remove these folders"
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
