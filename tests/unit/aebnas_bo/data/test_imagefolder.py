import io
import tarfile
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from aebnas_bo.data.decoding import decode_image
from aebnas_bo.data.imagefolder import load_imagefolder
from aebnas_bo.data.settings import DataConfig
from aebnas_bo.errors import DataError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    generator = np.random.default_rng(0)
    for split, count in (("train", 6), ("test", 3)):
        for name in ("cat", "dog"):
            place = tmp_path / "pets" / split / name
            place.mkdir(parents=True)
            for number in range(count):
                pixels = generator.integers(0, 256, (8, 8, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(place / f"{number}.png")
    (tmp_path / "pets/train/cat/notes.txt").write_text("no image")
    return tmp_path / "pets"


def config(root: Path, **changes) -> DataConfig:
    return DataConfig(dataset="imagefolder", root=str(root), image_size=changes.pop("image_size", 8), **changes)


def pack(folder: Path, kind: str) -> Path:
    path = folder.with_suffix(f".tar{kind}")
    with tarfile.open(path, f"w:{kind[1:]}" if kind else "w") as archive:
        archive.add(folder, arcname="anything")
    return path


def test_folder_is_read_in_order(folder: Path) -> None:
    dataset = load_imagefolder(config(folder))
    assert dataset.class_names == ("cat", "dog")
    assert dataset.train.labels.tolist() == [0] * 6 + [1] * 6
    expected = np.asarray(Image.open(folder / "train/cat/0.png"))
    assert np.array_equal(dataset.train.images[0].permute(1, 2, 0).numpy(), expected)
    assert dataset.test is not None
    assert len(dataset.test) == 6


@pytest.mark.parametrize("kind", ["", ".gz", ".xz"])
def test_archive_equals_folder(folder: Path, kind: str) -> None:
    one, other = load_imagefolder(config(folder)), load_imagefolder(config(pack(folder, kind)))
    assert one.train.content_hash() == other.train.content_hash()


def test_subset_is_stratified_and_seeded(folder: Path) -> None:
    subsets = [load_imagefolder(config(folder, max_train_images=10, split_seed=seed)).train for seed in (0, 0, 1)]
    assert torch.bincount(subsets[0].labels).tolist() == [5, 5]
    assert subsets[0].content_hash() == subsets[1].content_hash() != subsets[2].content_hash()


def test_halving_averages_boxes(folder: Path) -> None:
    full, half = load_imagefolder(config(folder)).train, load_imagefolder(config(folder, image_size=4)).train
    expected = full.images[0, :, :2, :2].float().mean(dim=(1, 2))
    assert torch.allclose(half.images[0, :, 0, 0].float(), expected, atol=1.0)


def test_grey_images_become_rgb(folder: Path) -> None:
    Image.fromarray(np.full((8, 8), 77, dtype=np.uint8)).save(folder / "train/cat/0.png")
    assert load_imagefolder(config(folder)).train.images[0].unique().tolist() == [77]


@pytest.mark.parametrize("suffix", ["png", "tif", "pgm"])
def test_pictures_of_sixteen_bits_keep_their_greys(suffix: str) -> None:
    greys = np.arange(64, dtype=np.uint16).reshape(8, 8) * 1024
    file = io.BytesIO()
    Image.fromarray(greys).save(file, {"png": "PNG", "tif": "TIFF", "pgm": "PPM"}[suffix])
    assert (decode_image(file.getvalue(), 8, 3, origin="grey")[1] == greys // 256).all()


def test_pictures_of_fractions_are_refused() -> None:
    file = io.BytesIO()
    Image.fromarray(np.ones((8, 8), dtype=np.float32)).save(file, "TIFF")
    with pytest.raises(DataError, match="the range of mode F is unknown; save it with 8 or 16 bits"):
        decode_image(file.getvalue(), 8, 3, origin="grey")


def test_no_test_folder_means_no_test_split(folder: Path) -> None:
    (folder / "test").rename(folder / "elsewhere")
    assert load_imagefolder(config(folder)).test is None


def test_missing_root_names_the_flag(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"data\.root=PATH"):
        load_imagefolder(config(tmp_path / "nowhere"))


def test_empty_folder_says_what_is_expected(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"train/<class>/<image>"):
        load_imagefolder(config(tmp_path))


def test_differing_classes_are_named(folder: Path) -> None:
    (folder / "test/dog").rename(folder / "test/wolf")
    with pytest.raises(DataError, match=r"only in train: dog; only in test: wolf"):
        load_imagefolder(config(folder))


def test_unreadable_image_is_named(folder: Path) -> None:
    (folder / "train/dog/3.png").write_bytes(b"not an image")
    with pytest.raises(DataError, match=r"dog/3\.png"):
        load_imagefolder(config(folder))


def test_damaged_archive_is_an_error(folder: Path) -> None:
    path = pack(folder, ".gz")
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(DataError, match="archive"):
        load_imagefolder(config(path))


def test_a_file_that_is_no_archive_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "x.tar"
    path.write_bytes(io.BytesIO(b"hello").getvalue())
    with pytest.raises(DataError, match="archive"):
        load_imagefolder(config(path))
