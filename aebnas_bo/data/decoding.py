"""One picture file to bytes of the size and channels a network reads: the same for training and for use."""

from __future__ import annotations

import io
import struct

import numpy as np
from PIL import Image, ImageOps

from aebnas_bo.errors import DataError

# What Pillow's decoders raise on damaged files; `UnidentifiedImageError` is an `OSError`.
DECODE_ERRORS = (OSError, ValueError, SyntaxError, EOFError, struct.error, Image.DecompressionBombError)
MODES = {1: "L", 3: "RGB"}


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
        with Image.open(io.BytesIO(data)) as image:
            image.load()
            return image_array(image, size, channels)
    except DECODE_ERRORS as error:
        raise DataError(f"{origin} cannot be decoded as an image ({error}); remove or replace it") from error


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
