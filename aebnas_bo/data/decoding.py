"""One picture file to bytes of the size and channels a network reads: the same for training and for use."""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import numpy as np
import psutil
from PIL import Image, UnidentifiedImageError

from aebnas_bo.data.picture_conversion import DEFAULT_CONVERSION, PictureConversion, image_array
from aebnas_bo.data.sixteen_bit_colours import LOW_BYTES, low_bytes
from aebnas_bo.errors import DataError, reason_of
from aebnas_bo.storage.regular_files import read_regular, size_text

# The contents of a file say what it is, not its name. Other formats of Pillow start programs (EPS) or read other files.
FORMATS = ("JPEG", "PNG", "BMP", "DIB", "WEBP", "GIF", "TIFF", "PPM", "AVIF")
MOST_BYTES = 512 << 20  # of a picture file
MOST_PIXELS = 178_956_970  # Pillow's limit, which other code of the same process may have lifted
MANY_PIXELS = 1 << 24  # from here on memory is looked at first
BYTES_PER_PIXEL = 12  # while a picture is decoded, turned and converted, 4 in each
LFS_POINTER = b"version https://git-lfs.github.com/spec/"


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


def decode_image(
    data: bytes, size: int, channels: int, *, origin: str, conversion: PictureConversion = DEFAULT_CONVERSION
) -> np.ndarray:
    """Decode a picture file.

    Args:
        data: The file's contents.
        size: Side in pixels to which it is resized.
        channels: 1 for grey, 3 for colour.
        origin: Where it is from, for messages.
        conversion: What becomes of transparent parts, 16 bits and other shapes.

    Returns:
        `channels x size x size`, uint8.

    Raises:
        DataError: If it cannot be decoded.
    """
    with opened_picture(data, origin) as image:
        return image_array(image, size, channels, conversion=conversion)


@contextmanager
def opened_picture(data: bytes, origin: str) -> Iterator[Image.Image]:
    """Decode a picture file as it is; what goes wrong with it in the block is an error of the file, too.

    Args:
        data: The file's contents.
        origin: Where it is from, for messages.

    Raises:
        DataError: If it cannot be decoded.
    """
    if data.startswith(LFS_POINTER):
        raise DataError(f"{origin} is a pointer of Git LFS, not the picture itself; fetch it with git lfs pull")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # there is a limit of our own
            with Image.open(io.BytesIO(data), formats=_formats()) as image:
                _check_pixels(image.width * image.height)
                low = low_bytes(image, data)
                image.load()
                if low is not None:
                    image.info[LOW_BYTES] = low
                yield image
    except UnidentifiedImageError as error:
        reason = f"it is damaged, or none of {', '.join(FORMATS)}"
        raise DataError(f"{origin} cannot be decoded as an image ({reason}); remove or replace it") from error
    except Exception as error:  # damaged files make Pillow's decoders raise errors of any type
        reason = reason_of(error)
        raise DataError(f"{origin} cannot be decoded as an image ({reason}); remove or replace it") from error


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
