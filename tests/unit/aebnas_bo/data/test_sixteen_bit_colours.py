"""Colours of 16 bits are scaled by the range of the training pictures, as greys are."""

import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from aebnas_bo.data.decoding import decode_image, opened_picture
from aebnas_bo.data.imagefolder import load_imagefolder
from aebnas_bo.data.picture_conversion import PictureConversion
from aebnas_bo.data.settings import DataConfig
from aebnas_bo.data.sixteen_bit_colours import wide_colours

COLOUR_TYPES = {2: 4, 3: 2, 4: 6}  # of PNG, by the number of channels


def png(pixels: np.ndarray) -> bytes:
    """A PNG of 16 bits, which Pillow does not write: `H x W x C`, C of 2 to 4."""
    height, width, channels = pixels.shape
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in pixels)
    header = struct.pack(">IIBBBBB", width, height, 16, COLOUR_TYPES[channels], 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks
    )


def pixels(channels: int, high: int) -> np.ndarray:
    found = np.random.default_rng(channels).integers(0, high + 1, (8, 8, channels))
    if channels in (2, 4):
        found[..., -1] = 65535
    return found


@pytest.mark.parametrize("channels", [2, 3, 4])
def test_both_bytes_of_every_colour_are_read(channels: int) -> None:
    given = pixels(channels, 65535)
    with opened_picture(png(given), "a.png") as image:
        found = wide_colours(image)
    assert np.array_equal(found, given[..., :1].repeat(3, axis=-1) if channels == 2 else given[..., :3])


@pytest.mark.parametrize("channels", [2, 3, 4])
def test_the_whole_range_gives_the_bytes_that_pillow_gives(channels: int) -> None:
    data = png(pixels(channels, 65535))
    expected = np.asarray(Image.open(io.BytesIO(data)).convert("RGB")).transpose(2, 0, 1)
    assert np.array_equal(decode_image(data, 8, 3, origin="a.png"), expected)
    narrow = decode_image(
        png(pixels(3, 4095)), 8, 3, origin="a.png", conversion=PictureConversion(sixteen_bits=(0, 4095))
    )
    assert np.array_equal(narrow, (pixels(3, 4095) >> 4).transpose(2, 0, 1))


def test_ordinary_pictures_carry_nothing(tmp_path: Path) -> None:
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png")
    with opened_picture((tmp_path / "a.png").read_bytes(), "a.png") as image:
        assert not [name for name in image.info if "low" in str(name)]


@pytest.mark.parametrize("channels", [2, 3, 4])
def test_the_training_pictures_decide_the_range(channels: int, tmp_path: Path) -> None:
    for number in range(8):
        folder = tmp_path / "train" / "ab"[number % 2]
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{number}.png").write_bytes(png(np.roll(pixels(channels, 200), number, axis=0)))
    dataset = load_imagefolder(DataConfig(dataset="imagefolder", root=str(tmp_path), image_size=8))
    assert dataset.origin.conversion.sixteen_bits == (0, 255)
    assert np.array_equal(dataset.train.images[0, 0].numpy(), pixels(channels, 200)[..., 0])
