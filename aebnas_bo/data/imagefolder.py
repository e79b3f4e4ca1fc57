"""Any folder, or tar archive, of `train/<class>/*` and `test/<class>/*` images."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

import numpy as np
import torch
from PIL import Image, UnidentifiedImageError
from torch import Tensor

from aebnas_bo.config import DataConfig
from aebnas_bo.data.images import Dataset, LabelledImages
from aebnas_bo.data.splits import stratified_indices
from aebnas_bo.errors import DataError

SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".webp", ".gif", ".tif", ".tiff", ".ppm", ".pgm"})
LAYOUT = "expected train/<class>/<image> and, where there is a test split, test/<class>/<image>"

Member = tuple[str, str, str]  # split, class, path below the split's class folder


def load_imagefolder(config: DataConfig) -> Dataset:
    """Read a folder or archive of class folders; only the chosen subset is decoded.

    Args:
        config: `root`, `image_size` and the sizes of subsets.

    Raises:
        DataError: If the place is missing or laid out otherwise, classes differ between the splits, or an image
            cannot be decoded.
    """
    root = Path(config.root or "").expanduser()
    if not root.exists():
        raise DataError(f"data.root: {root} does not exist; give the folder or archive with --set data.root=PATH")
    members = _archive_members(root) if root.is_file() else _folder_members(root)
    listed = {split: sorted(m for m in members if m[0] == split) for split in ("train", "test")}
    class_names = _class_names(root, listed)
    wanted: dict[Member, None] = {}
    chosen: dict[str, list[Member]] = {}
    for split, limit in (("train", config.max_train_images), ("test", config.max_test_images)):
        chosen[split] = _choose(listed[split], class_names, limit, config, split)
        wanted.update(dict.fromkeys(chosen[split]))
    read = _read_archive if root.is_file() else _read_folder
    size = config.image_size or 0
    decoded = {member: _decode(data, size, f"{root}: {'/'.join(member)}") for member, data in read(root, wanted)}
    train = _stack(chosen["train"], decoded, class_names)
    test = _stack(chosen["test"], decoded, class_names) if chosen["test"] else None
    return Dataset(root.name, class_names, train, test)


def _member(path: PurePosixPath) -> Member | None:
    """Return split, class and name of `[anything/]train/class/name`, or `None` for what is not an image."""
    parts = path.parts
    for start in (0, 1):
        if len(parts) >= start + 3 and parts[start] in {"train", "test"} and path.suffix.lower() in SUFFIXES:
            return parts[start], parts[start + 1], "/".join(parts[start + 2 :])
    return None


def _folder_members(root: Path) -> set[Member]:
    paths = (p.relative_to(root) for split in ("train", "test") for p in (root / split).glob("*/**/*") if p.is_file())
    return {member for path in paths if (member := _member(PurePosixPath(path.as_posix()))) is not None}


def _read_folder(root: Path, wanted: dict[Member, None]) -> Iterator[tuple[Member, bytes]]:
    for member in wanted:
        yield member, (root / Path(*member)).read_bytes()


def _open_archive(root: Path) -> tarfile.TarFile:
    try:
        return tarfile.open(root, mode="r:*")
    except (tarfile.TarError, OSError, EOFError) as error:
        raise DataError(f"data.root: {root} cannot be read as a tar archive ({error})") from error


def _archive_members(root: Path) -> set[Member]:
    try:
        with _open_archive(root) as archive:
            paths = [PurePosixPath(info.name) for info in archive if info.isfile()]
    except (tarfile.TarError, OSError, EOFError) as error:
        raise DataError(f"data.root: {root} is a damaged archive ({error}); copy it again") from error
    return {member for path in paths if (member := _member(path)) is not None}


def _read_archive(root: Path, wanted: dict[Member, None]) -> Iterator[tuple[Member, bytes]]:
    with _open_archive(root) as archive:
        for info in archive:
            member = _member(PurePosixPath(info.name)) if info.isfile() else None
            file = archive.extractfile(info) if member in wanted else None
            if member is not None and file is not None:
                yield member, file.read()


def _class_names(root: Path, listed: dict[str, list[Member]]) -> tuple[str, ...]:
    train_classes = sorted({name for _, name, _ in listed["train"]})
    test_classes = sorted({name for _, name, _ in listed["test"]})
    if len(train_classes) < 2:
        raise DataError(f"data.root: {root} has {len(train_classes)} classes of training images; {LAYOUT}")
    if test_classes and test_classes != train_classes:
        different = sorted(set(train_classes) ^ set(test_classes))
        raise DataError(f"data.root: {root}: train and test differ in the classes {', '.join(different)}")
    return tuple(train_classes)


def _choose(
    members: list[Member], class_names: tuple[str, ...], limit: int | None, config: DataConfig, split: str
) -> list[Member]:
    if limit is None or limit >= len(members):
        return members
    labels = _labels(members, class_names)
    return [members[i] for i in stratified_indices(labels, limit, config, f"{split} subset").tolist()]


def _labels(members: list[Member], class_names: tuple[str, ...]) -> Tensor:
    label = {name: index for index, name in enumerate(class_names)}
    return torch.tensor([label[name] for _, name, _ in members], dtype=torch.int64)


def _decode(data: bytes, size: int, origin: str) -> np.ndarray:
    try:
        with Image.open(io.BytesIO(data)) as image:
            rgb = image.convert("RGB")
    except (UnidentifiedImageError, OSError, ValueError, Image.DecompressionBombError) as error:
        raise DataError(f"{origin} cannot be decoded as an image ({error}); remove or replace it") from error
    if rgb.size != (size, size):
        is_shrinking = rgb.width % size == 0 and rgb.height % size == 0
        rgb = rgb.resize((size, size), Image.Resampling.BOX if is_shrinking else Image.Resampling.BILINEAR)
    return np.asarray(rgb)


def _stack(members: list[Member], decoded: dict[Member, np.ndarray], class_names: tuple[str, ...]) -> LabelledImages:
    images = torch.from_numpy(np.stack([decoded[member] for member in members])).permute(0, 3, 1, 2).contiguous()
    return LabelledImages(images, _labels(members, class_names))
