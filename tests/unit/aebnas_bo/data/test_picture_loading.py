"""Pictures of every kind keep what they show, and become the same bytes wherever they go."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from aebnas_bo.data.decoding import decode_image
from aebnas_bo.data.given_images import given_dataset
from aebnas_bo.data.imagefolder import load_imagefolder
from aebnas_bo.data.images import Dataset
from aebnas_bo.data.settings import DataConfig
from aebnas_bo.errors import DataError

SHAPES = np.random.default_rng(0).integers(0, 2, (24, 8, 8), dtype=np.uint8) * 255
SPLITS = {"train": range(16), "test": range(16, 24)}


def config(root: Path, **settings: object) -> DataConfig:
    return DataConfig.model_validate({"dataset": "imagefolder", "root": str(root), "image_size": 8, **settings})


def write(root: Path, make: Callable[[np.ndarray], Image.Image], suffix: str = "png") -> Path:
    for split, numbers in SPLITS.items():
        for number in numbers:
            folder = root / split / "ab"[number % 2]
            folder.mkdir(parents=True, exist_ok=True)
            make(SHAPES[number]).save(folder / f"{number:02}.{suffix}")
    return root


def files(root: Path, split: str) -> list[Path]:
    return sorted((root / split).glob("*/*"))


def clear(shape: np.ndarray, level: int = 0) -> Image.Image:
    """A shape of one grey level, drawn by transparency alone."""
    image = Image.new("RGBA", (8, 8), (level,) * 3)
    image.putalpha(Image.fromarray(shape))
    return image


def clear_palette(shape: np.ndarray) -> Image.Image:
    image = Image.fromarray(shape // 255).convert("P")
    image.putpalette([0, 0, 0] * 256)
    image.info["transparency"] = 0
    return image


def with_clear_colour(shape: np.ndarray) -> Image.Image:
    pixels = np.stack([shape * 0 + 9, shape // 255, shape * 0], axis=-1)
    image = Image.fromarray(pixels)
    image.info["transparency"] = (9, 0, 0)
    return image


def wide(factor: int, offset: int = 0) -> Callable[[np.ndarray], Image.Image]:
    return lambda shape: Image.fromarray(shape.astype(np.uint16) // 255 * np.uint16(factor) + np.uint16(offset))


def coloured(shape: np.ndarray) -> Image.Image:
    return Image.fromarray(np.stack([shape, 255 - shape, shape // 2], axis=-1))


KINDS: dict[str, Callable[[np.ndarray], Image.Image]] = {
    "RGB": coloured,
    "L": Image.fromarray,
    "1": lambda shape: Image.fromarray(shape).convert("1"),
    "P": lambda shape: coloured(shape).convert("P"),
    "grey P": lambda shape: Image.fromarray(shape).convert("P"),
    "RGBA": clear,
    "light RGBA": lambda shape: clear(shape, 255),
    "LA": lambda shape: clear(shape).convert("LA"),
    "clear P": clear_palette,
    "clear RGB": with_clear_colour,
    "8 of 16 bits": wide(255),
    "12 of 16 bits": wide(4095),
    "16 bits": wide(65535),
    "narrow 16 bits": wide(100, 30000),
}
ONE_CHANNEL = set(KINDS) - {"RGB", "P", "RGBA", "light RGBA", "clear RGB"}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "settings", [{}, {"channels": 1}, {"channels": 3, "image_size": 5}, {"background": 90}], ids=str
)
def test_no_kind_of_picture_loses_its_shapes(kind: str, settings: dict[str, object], tmp_path: Path) -> None:
    root = write(tmp_path, KINDS[kind])
    dataset = load_imagefolder(config(root, **settings))
    images = dataset.train.images.flatten(1)
    assert len(images.unique(dim=0)) == 16
    assert int(images.max()) - int(images.min()) > 50
    assert dataset.train.images.shape[1] == settings.get("channels", 1 if kind in ONE_CHANNEL else 3)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("settings", [{}, {"channels": 1, "image_size": 5}, {"background": 90}], ids=str)
def test_files_and_given_pictures_become_the_bytes_of_training(
    kind: str, settings: dict[str, object], tmp_path: Path
) -> None:
    root = write(tmp_path, KINDS[kind])
    chosen = config(root, **settings)
    dataset = load_imagefolder(chosen)
    assert dataset.test is not None
    for split, part in (("train", dataset.train), ("test", dataset.test)):
        for path, pixels in zip(files(root, split), part.images.numpy(), strict=True):
            found = decode_image(
                path.read_bytes(),
                part.images.shape[-1],
                part.images.shape[1],
                origin="",
                conversion=dataset.origin.conversion,
            )
            assert np.array_equal(found, pixels), path
    pairs = {split: [(Image.open(path), path.parent.name == "b") for path in files(root, split)] for split in SPLITS}
    given = given_dataset(pairs["train"], pairs["test"], chosen)
    assert given.train.content_hash() == dataset.train.content_hash()
    assert given.origin.conversion == dataset.origin.conversion


def test_sixteen_bits_are_scaled_by_the_range_of_the_training_pictures(tmp_path: Path) -> None:
    root = write(tmp_path, wide(4095))
    wide(65535)(SHAPES[0]).save(files(root, "test")[0])
    dataset = load_imagefolder(config(root))
    assert dataset.origin.conversion.sixteen_bits == (0, 4095)
    assert dataset.origin.counts.sixteen_bits == 24
    assert dataset.train.images.unique().tolist() == [0, 255]
    narrow = load_imagefolder(config(write(tmp_path / "narrow", wide(100, 30000))))
    assert narrow.origin.conversion.sixteen_bits == (30000, 30100)


def test_sixteen_bits_over_their_whole_range_keep_the_upper_eight(tmp_path: Path) -> None:
    values = np.random.default_rng(1).integers(0, 65536, (8, 8), dtype=np.uint16)
    values[0, 0] = 65535
    root = write(tmp_path, lambda _: Image.fromarray(values))
    assert np.array_equal(load_imagefolder(config(root)).train.images[0, 0].numpy(), values >> 8)


def test_transparent_parts_are_white_or_black_behind_light_shapes(tmp_path: Path) -> None:
    for level, background in ((0, 255), (255, 0)):
        dataset = load_imagefolder(config(write(tmp_path / str(level), lambda shape, level=level: clear(shape, level))))
        assert dataset.origin.conversion.background == background
        expected = SHAPES[0] if level == 255 else 255 - SHAPES[0]
        assert np.array_equal(dataset.train.images[0, 0].numpy(), expected)
        assert dataset.origin.counts.transparent == 24


def test_opaque_pictures_with_an_alpha_channel_keep_their_colours(tmp_path: Path) -> None:
    images = [
        load_imagefolder(config(write(tmp_path / name, make))).train.images
        for name, make in (("RGB", coloured), ("RGBA", lambda shape: coloured(shape).convert("RGBA")))
    ]
    assert images[0].equal(images[1])


def test_one_coloured_training_picture_keeps_three_channels(tmp_path: Path) -> None:
    root = write(tmp_path, Image.fromarray)
    coloured(SHAPES[3]).save(files(root, "train")[3])
    dataset = load_imagefolder(config(root))
    assert dataset.train.images.shape[1] == 3
    assert (dataset.origin.counts.grey, dataset.origin.counts.pictures) == (23, 24)


def test_colour_of_test_pictures_alone_is_dropped_and_counted(tmp_path: Path) -> None:
    root = write(tmp_path, Image.fromarray)
    path = files(root, "test")[2]
    coloured(SHAPES[3]).save(path)
    dataset = load_imagefolder(config(root, image_size=5))
    assert dataset.test is not None
    expected = Image.open(path).convert("L").resize((5, 5), Image.Resampling.BILINEAR)
    assert np.array_equal(dataset.test.images[2, 0].numpy(), np.asarray(expected))
    assert dataset.origin.counts.lost_colours == 1


def halves(_: np.ndarray) -> Image.Image:
    """A picture of 8 rows and 16 columns: left quarter black, right quarter white, grey between them."""
    pixels = np.full((8, 16, 3), 100, dtype=np.uint8)
    pixels[:, :4], pixels[:, 12:] = 0, 255
    return Image.fromarray(pixels)


@pytest.mark.parametrize(
    ("settings", "row"),
    [
        ({}, [0, 0, 100, 100, 100, 100, 255, 255]),
        ({"fit": "crop"}, [100] * 8),
        ({"fit": "letterbox"}, [0, 0, 100, 100, 100, 100, 255, 255]),
    ],
    ids=str,
)
def test_pictures_of_another_shape_are_fitted_as_asked(
    settings: dict[str, object], row: list[int], tmp_path: Path
) -> None:
    dataset = load_imagefolder(config(write(tmp_path, halves), **settings))
    assert dataset.train.images[0, 0, 4].tolist() == row
    assert (dataset.origin.counts.not_square, dataset.origin.counts.typical_size) == (24, (16, 8))


@pytest.mark.parametrize(("settings", "bars"), [({}, 0), ({"background": 77}, 77)], ids=str)
def test_letterboxed_pictures_have_bars_of_the_background(
    settings: dict[str, object], bars: int, tmp_path: Path
) -> None:
    image = load_imagefolder(config(write(tmp_path, halves), fit="letterbox", **settings)).train.images[0, 0]
    assert image[:2].unique().tolist() == image[6:].unique().tolist() == [bars]
    assert image[2:6, 0].tolist() == [0] * 4


def damaged(root: Path, count: int) -> Path:
    for path in files(root, "train")[:count]:
        path.write_bytes(path.read_bytes()[:60])
    return root


def test_several_damaged_pictures_are_named_together(tmp_path: Path) -> None:
    root = damaged(write(tmp_path, coloured), 5)
    (root / "train/b/01.png").write_bytes(b"version https://git-lfs.github.com/spec/v1\noid sha256:12\n")
    with pytest.raises(
        DataError, match=r"6 images cannot be used: .*a/00\.png.*a/02\.png.*a/04\.png.*and 3 more\. Remove or replace"
    ):
        load_imagefolder(config(root))


def test_a_pointer_of_git_lfs_is_said_to_be_one(tmp_path: Path) -> None:
    root = write(tmp_path, coloured)
    (root / "train/b/01.png").write_bytes(b"version https://git-lfs.github.com/spec/v1\noid sha256:12\n")
    with pytest.raises(DataError, match=r"01\.png is a Git LFS pointer.*git lfs pull"):
        load_imagefolder(config(root))


def test_names_of_classes_that_are_no_text_are_refused_at_the_start(tmp_path: Path) -> None:
    root = damaged(write(tmp_path, coloured), 5)
    for split in SPLITS:
        (root / split / "a").rename(root / split / "caf\udce9")
    with pytest.raises(DataError, match=r"class names in UTF-8.*got caf\\xe9; rename"):
        load_imagefolder(config(root))
    with pytest.raises(DataError, match=r"got caf\\xe9"):
        Dataset("given", ("caf\udce9", "b"), load_imagefolder(config(write(tmp_path / "good", coloured))).train, None)
