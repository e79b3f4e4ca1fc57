"""Decoding of image files to the size and channels of a network, the same in training and in prediction."""

from __future__ import annotations

import io
import re
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

# The format follows from the contents, not from the name. Pillow's other formats start programs (EPS) or read further
# files.
FORMATS = ("JPEG", "PNG", "BMP", "DIB", "WEBP", "GIF", "TIFF", "PPM", "AVIF")
MOST_BYTES = 512 << 20  # of an image file
MOST_PIXELS = 178_956_970  # Pillow's limit, which other code in the process may have raised
MANY_PIXELS = 1 << 24  # above this, free memory is checked first
BYTES_PER_PIXEL = 12  # 4 each for decoding, rotating and converting
PPM_START = re.compile(rb"P[0-9a-zA-Z][\s#]")
PPM_COMMENT = re.compile(rb"#[^\r\n]*")
PPM_WORDS = 3  # format, width and height
PPM_AS_TEXT = (b"P1", b"P2", b"P3")
MOST_PPM_COMMENTS = 10_000
MOST_PPM_HEADER = 1 << 16  # bytes; Pillow reads them one by one
LFS_POINTER = b"version https://git-lfs.github.com/spec/"


def read_picture(path: Path) -> bytes:
    """Return the contents of an image file.

    Raises:
        DataError: If the file cannot be read, is not a regular file, or is too large.
    """
    try:
        return read_regular(path, MOST_BYTES)
    except OSError as error:
        reason = error.strerror or error
        raise DataError(f"{path} cannot be read ({reason}); remove it or give a readable image") from error


def decode_image(
    data: bytes, size: int, channels: int, *, origin: str, conversion: PictureConversion = DEFAULT_CONVERSION
) -> np.ndarray:
    """Decode and convert an image file.

    Args:
        data: Contents of the file.
        size: Side in pixels to which the image is resized.
        channels: 1 for grey, 3 for colour.
        origin: Path or name of the file, for messages.
        conversion: Treatment of transparency, 16-bit values and images that are not square.

    Returns:
        `channels x size x size`, uint8.

    Raises:
        DataError: If the image cannot be decoded.
    """
    with opened_picture(data, origin) as image:
        return image_array(image, size, channels, conversion=conversion)


@contextmanager
def opened_picture(data: bytes, origin: str) -> Iterator[Image.Image]:
    """Decode an image file without converting it; errors raised in the block are reported as errors of the file.

    Args:
        data: Contents of the file.
        origin: Path or name of the file, for messages.

    Raises:
        DataError: If the image cannot be decoded.
    """
    if data.startswith(LFS_POINTER):
        raise DataError(f"{origin} is a Git LFS pointer, not the image itself; run git lfs pull")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # MOST_PIXELS is the limit
            _check_ppm(data)
            with Image.open(io.BytesIO(data), formats=_formats()) as image:
                _check_pixels(image.width * image.height)
                low = low_bytes(image, data)
                image.load()
                if low is not None:
                    image.info[LOW_BYTES] = low
                yield image
    except UnidentifiedImageError as error:
        reason = f"it is damaged or not one of {', '.join(FORMATS)}"
        raise DataError(f"{origin} cannot be decoded as an image ({reason}); remove or replace it") from error
    except Exception as error:  # on damaged files Pillow's decoders raise errors of any type
        reason = reason_of(error)
        raise DataError(f"{origin} cannot be decoded as an image ({reason}); remove or replace it") from error


@cache
def _formats() -> list[str]:
    """Return the formats that the installed Pillow reads; older versions lack AVIF."""
    Image.init()
    return [name for name in FORMATS if name in Image.OPEN]


def _check_ppm(data: bytes) -> None:
    """Raise `ValueError` for a PPM, PGM or PBM file with long or many comments, which take Pillow minutes to read."""
    if not PPM_START.match(data) or len(data) <= MOST_PPM_HEADER:
        return
    words = PPM_COMMENT.sub(b"", data[:MOST_PPM_HEADER]).split()
    if len(words) < PPM_WORDS:
        raise ValueError(f"its header is longer than {size_text(MOST_PPM_HEADER)}")
    if data[:2] in PPM_AS_TEXT and data.count(b"#") > MOST_PPM_COMMENTS:
        raise ValueError(f"it has more than {MOST_PPM_COMMENTS:,} comments")


def _check_pixels(count: int) -> None:
    """Raise `ValueError`, before decoding, if the header states more pixels than fit into memory."""
    if count > MOST_PIXELS:
        raise ValueError(f"it has {count:,} pixels, more than {MOST_PIXELS:,}")
    needed = count * BYTES_PER_PIXEL
    if count > MANY_PIXELS and needed > (free := psutil.virtual_memory().available):
        raise ValueError(f"its {count:,} pixels need {size_text(needed)} of memory, but {size_text(free)} is free")
