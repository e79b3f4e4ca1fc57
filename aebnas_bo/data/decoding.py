"""One picture file to bytes of the size and channels a network reads: the same for training and for use."""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
from PIL import Image

from aebnas_bo.data.picture_conversion import DEFAULT_CONVERSION, PictureConversion, image_array
from aebnas_bo.data.sixteen_bit_colours import LOW_BYTES, low_bytes
from aebnas_bo.errors import DataError

# What Pillow's decoders raise on damaged files; `UnidentifiedImageError` is an `OSError`.
DECODE_ERRORS = (OSError, ValueError, SyntaxError, EOFError, struct.error, Image.DecompressionBombError)
LFS_POINTER = b"version https://git-lfs.github.com/spec/"


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
        with Image.open(io.BytesIO(data)) as image:
            low = low_bytes(image, data)
            image.load()
            if low is not None:
                image.info[LOW_BYTES] = low
            yield image
    except DECODE_ERRORS as error:
        raise DataError(f"{origin} cannot be decoded as an image ({error}); remove or replace it") from error
