import tarfile
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from aebnas_bo.data import imagefolder
from aebnas_bo.data.datasets import load_splits
from aebnas_bo.data.imagefolder import load_imagefolder
from aebnas_bo.data.settings import DataConfig
from aebnas_bo.errors import DataError

WriteImages = Callable[[Path, dict[str, int]], Path]
COUNTS = {"train/dog": 12, "train/cat": 12, "test/dog": 2, "test/cat": 3}
FORMS = {".tar": "w", ".tar.gz": "w:gz", ".tar.xz": "w:xz"}


def config(root: Path, **settings: int) -> DataConfig:
    return DataConfig.model_validate({"dataset": "imagefolder", "root": str(root), "image_size": 8} | settings)


def pack(folder: Path, suffix: str, arcname: str) -> Path:
    """Put the files into an archive in reversed order, which must not matter."""
    archive = folder.with_name(folder.name + suffix)
    with tarfile.open(archive, FORMS[suffix]) as tar:  # type: ignore[call-overload]
        for path in sorted(folder.rglob("*"), reverse=True):
            tar.add(path, arcname=str(Path(arcname) / path.relative_to(folder)), recursive=False)
    return archive


def save_all(root: Path, image: Image.Image, suffix: str = ".png") -> Path:
    for place in ("train/a/0", "train/a/1", "train/b/0", "train/b/1"):
        path = root / (place + suffix)
        path.parent.mkdir(parents=True, exist_ok=True)
        image.save(path)
    return root


def test_imagefolder_sorts_classes_and_files(write_images: WriteImages, tmp_path: Path) -> None:
    dataset = load_imagefolder(config(write_images(tmp_path, COUNTS)))
    # The writer's colours: 20 * place of the folder, 5 * number of the file, 100.
    assert dataset.train.images[:, :, 0, 0].tolist() == [[20 * (c == 0), 5 * i, 100] for c in (0, 1) for i in range(12)]
    assert dataset.train.labels.tolist() == [0] * 12 + [1] * 12
    assert dataset.test is not None
    assert dataset.test.images[:, 0, 7, 7].tolist() == [60, 60, 60, 40, 40]
    assert dataset.test.labels.tolist() == [0, 0, 0, 1, 1]


@pytest.mark.parametrize(("suffix", "arcname"), [(".tar", ""), (".tar.gz", "pets"), (".tar.xz", "./")])
@pytest.mark.parametrize("settings", [{"max_test_images": 10}, {"max_train_images": 20}], ids=["all", "subset"])
def test_splits_are_the_same_from_folder_and_archive(
    suffix: str, arcname: str, settings: dict[str, int], write_images: WriteImages, tmp_path: Path
) -> None:
    folder = write_images(tmp_path / "pets", COUNTS)
    splits = [load_splits(config(root, **settings)) for root in (folder, pack(folder, suffix, arcname))]
    assert splits[0].data_hash == splits[1].data_hash
    assert splits[0].class_names == splits[1].class_names
    assert {path.name for path in tmp_path.iterdir()} == {"pets", f"pets{suffix}"}  # nothing was extracted


def test_imagefolder_decodes_only_the_subset(
    write_images: WriteImages, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = write_images(tmp_path, COUNTS | {"test/dog": 20, "test/cat": 20})
    decoded = []
    opened = imagefolder.opened_picture

    def counting(data: bytes, origin: str) -> AbstractContextManager[Image.Image]:
        decoded.append(origin)
        return opened(data, origin)

    monkeypatch.setattr(imagefolder, "opened_picture", counting)
    dataset = load_imagefolder(config(root, max_train_images=10, max_test_images=12))
    assert len(decoded) == 22
    assert dataset.test is not None
    assert torch.bincount(dataset.train.labels).tolist() == [5, 5]
    assert torch.bincount(dataset.test.labels).tolist() == [6, 6]


def test_imagefolder_shrinks_by_whole_factors_by_averaging_boxes(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (16, 24, 3), dtype=np.uint8)
    images = load_imagefolder(config(save_all(tmp_path, Image.fromarray(pixels)))).train.images
    means = pixels.astype(float).reshape(8, 2, 8, 3, 3).mean(axis=(1, 3)).transpose(2, 0, 1)
    assert np.abs(images[0].numpy() - means).max() <= 1.01  # Pillow rounds after each direction


@pytest.mark.parametrize("shape", [(5, 7), (11, 13)], ids=["enlarge", "shrink"])
def test_imagefolder_resizes_to_other_sizes_bilinearly(shape: tuple[int, int], tmp_path: Path) -> None:
    picture = Image.fromarray(np.random.default_rng(0).integers(0, 256, (*shape, 3), dtype=np.uint8))
    images = load_imagefolder(config(save_all(tmp_path, picture))).train.images
    expected = np.asarray(picture.resize((8, 8), Image.Resampling.BILINEAR)).transpose(2, 0, 1)
    assert np.array_equal(images[0].numpy(), expected)


def test_imagefolder_names_an_unreadable_image_in_an_archive(write_images: WriteImages, tmp_path: Path) -> None:
    root = write_images(tmp_path / "pets", COUNTS)
    (root / "train/cat/003.png").write_bytes(b"not an image")
    with pytest.raises(DataError, match=r"pets\.tar\.gz.*train/cat/003\.png cannot be decoded.*remove or replace"):
        load_imagefolder(config(pack(root, ".tar.gz", "pets")))


def test_imagefolder_names_a_truncated_image(tmp_path: Path) -> None:
    picture = Image.fromarray(np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8))
    path = save_all(tmp_path, picture, ".jpg") / "train/b/1.jpg"
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(DataError, match=r"train/b/1\.jpg cannot be decoded"):
        load_imagefolder(config(tmp_path))


@pytest.mark.parametrize(
    ("counts", "message"),
    [
        ({"a": 3, "b/deep": 3}, r"train/<class>/<image>.*or <class>/<image> without.*has no training images"),
        ({"train": 3, "a": 3, "b": 3}, r"train/<class>/<image>.*has no training images"),
        ({"train/a": 3}, "at least two classes.*only one class, a"),
        ({"train/a": 3, "train/b": 1}, "at least two training images of each class.*has one of: b"),
        (
            {"train/a": 2, "train/b": 2, "test/a": 1},
            "same classes in train and test.*only in train: b; only in test: none",
        ),
        ({"train/a": 2, "train/b": 2, "test/a": 1, "test/c": 1}, "only in train: b; only in test: c"),
    ],
)
def test_imagefolder_explains_a_wrong_layout(
    counts: dict[str, int], message: str, write_images: WriteImages, tmp_path: Path
) -> None:
    with pytest.raises(DataError, match=message):
        load_imagefolder(config(write_images(tmp_path, counts)))


def test_imagefolder_needs_an_image_size(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"data\.image_size is null"):
        load_imagefolder(DataConfig.model_construct(dataset="imagefolder", root=str(tmp_path), image_size=None))
