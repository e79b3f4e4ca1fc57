"""One picture file to bytes of the size and channels a network reads: the same for training and for use."""

from __future__ import annotations

import io
import warnings
from functools import cache
from pathlib import Path

import numpy as np
import psutil
from PIL import Image, ImageOps, UnidentifiedImageError

from aebnas_bo.errors import DataError, reason_of
from aebnas_bo.storage.regular_files import read_regular, size_text

# The contents of a file say what it is, not its name. Other formats of Pillow start programs (EPS) or read other files.
FORMATS = ("JPEG", "PNG", "BMP", "WEBP", "GIF", "TIFF", "PPM", "AVIF")
MOST_BYTES = 512 << 20  # of a picture file
MOST_PIXELS = 178_956_970  # Pillow's limit, which other code of the same process may have lifted
MANY_PIXELS = 1 << 24  # from here on memory is looked at first
BYTES_PER_PIXEL = 12  # while a picture is decoded, turned and converted, 4 in each
MODES = {1: "L", 3: "RGB"}


def read_picture(path: Path) -> bytes:
    """Return the contents of a picture file, which must be a regular file.

    Raises:
        DataError: If it cannot be read, is a device, pipe or socket, or is too large.
    """
    try:
        return read_regular(path, MOST_BYTES)
    except OSError as error:
        reason = error.strerror or error
        raise DataError(f"{path} cannot be read ({reason}); remove it, or give a picture that can be") from error


def decode_image(data: bytes, size: int, channels: int, *, origin: str) -> np.ndarray:
    """Decode a picture file.

    Args:
        data: The file's contents.
        size: Side in pixels to which it is resized.
        channels: 1 for grey, 3 for colour.
        origin: Where it is from, for messages.

    Returns:
        `channels x size x size`, uint8.

    Raises:
        DataError: If it cannot be decoded.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # there is a limit of our own
            with Image.open(io.BytesIO(data), formats=_formats()) as image:
                _check_pixels(image.width * image.height)
                image.load()
                return image_array(image, size, channels)
    except UnidentifiedImageError as error:
        reason = f"it is damaged, or none of {', '.join(FORMATS)}"
        raise DataError(f"{origin} cannot be decoded as an image ({reason}); remove or replace it") from error
    except Exception as error:  # damaged files make Pillow's decoders raise errors of any type
        raise DataError(f"{origin} cannot be decoded as an image ({reason_of(error)}); remove or replace it") from error


@cache
def _formats() -> list[str]:
    """Return the formats that this Pillow knows; older ones have no AVIF."""
    Image.init()
    return [name for name in FORMATS if name in Image.OPEN]


def _check_pixels(count: int) -> None:
    """Refuse a picture whose header promises more pixels than fit into memory, before they are decoded."""
    if count > MOST_PIXELS:
        raise ValueError(f"it has {count:,} pixels, more than {MOST_PIXELS:,}")
    needed = count * BYTES_PER_PIXEL
    if count > MANY_PIXELS and needed > (free := psutil.virtual_memory().available):
        raise ValueError(f"its {count:,} pixels need {size_text(needed)} of memory, {size_text(free)} are free")


def image_array(image: Image.Image, size: int, channels: int) -> np.ndarray:
    """Turn a picture the right way up, convert and resize it: `channels x size x size`, uint8."""
    upright = ImageOps.exif_transpose(image) or image
    converted = _eight_bits(upright, image.format).convert(MODES[channels])
    if converted.size != (size, size):
        is_shrinking = converted.width % size == 0 and converted.height % size == 0
        filtering = Image.Resampling.BOX if is_shrinking else Image.Resampling.BILINEAR
        converted = converted.resize((size, size), filtering)
    pixels = np.asarray(converted)
    return pixels[None] if channels == 1 else pixels.transpose(2, 0, 1)


def _eight_bits(image: Image.Image, file_format: str | None) -> Image.Image:
    """Return a picture of 16 bits with the upper eight, where Pillow would clip; refuse other wide numbers."""
    is_sixteen = image.mode.startswith("I;16") or (image.mode == "I" and file_format in ("PNG", "PPM"))
    if is_sixteen:
        return Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    if image.mode in ("I", "F"):
        raise ValueError(f"mode {image.mode}, whose black and white are unknown; save it with 8 or 16 bits")
    return image
