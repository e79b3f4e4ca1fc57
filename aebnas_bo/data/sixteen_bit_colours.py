"""16-bit colours: Pillow reads only the high byte of each value, so the low byte is read in a second pass."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image, ImageFile, ImageOps

LOW_BYTES = "aebnas_bo.low_bytes"  # key in `Image.info`
# Pillow's raw modes, each with the one that reads the other byte of each value.
OTHER_BYTES = {"RGB;16B": "RGB;16L", "RGBA;16B": "RGBA;16L", "RGB;16L": "RGB;16B", "RGBA;16L": "RGBA;16B"}
ORIENTATION = 0x0112  # EXIF tag
GREY_WITH_ALPHA = "LA;16B"  # four bytes per pixel, as RGBA


def low_bytes(image: Image.Image, data: bytes) -> Image.Image | None:
    """Return the low bytes of an image's colours, or `None` if they have at most 8 bits.

    Args:
        image: Opened image, not decoded yet.
        data: Contents of its file.
    """
    if not isinstance(image, ImageFile.ImageFile) or image.format is None:
        return None
    stored = {_stored(tile) for tile in image.tile}
    name = stored.pop() if len(stored) == 1 else ""
    other = "RGBA" if name == GREY_WITH_ALPHA else OTHER_BYTES.get(name)
    if other is None:
        return None
    with Image.open(io.BytesIO(data), formats=[image.format]) as low:
        low.tile = [_stored_as(tile, other) for tile in low.tile]
        low.load()
        if name != GREY_WITH_ALPHA:
            return low.copy()
        grey, _, alpha = low.split()[1:]
        return Image.merge("RGBA", (grey, grey, grey, alpha))


def _stored(tile: ImageFile._Tile) -> str:
    """Return Pillow's raw mode of a tile."""
    arguments = tile.args if isinstance(tile.args, tuple) else (tile.args,)
    return str(arguments[0]) if arguments else ""


def _stored_as(tile: ImageFile._Tile, name: str) -> ImageFile._Tile:
    return tile._replace(args=(name, *tile.args[1:]) if isinstance(tile.args, tuple) else name)


def is_wide(image: Image.Image) -> bool:
    """Return whether an image has 16-bit colours."""
    return LOW_BYTES in image.info


def wide_colours(image: Image.Image) -> np.ndarray:
    """Return the colours of an image with low bytes, `H x W x 3` from 0 to 65535, without the alpha channel.

    Args:
        image: Decoded image, before or after `ImageOps.exif_transpose`.
    """
    low: Image.Image = image.info[LOW_BYTES]
    if low.size != image.size or image.getexif().get(ORIENTATION, 1) != low.getexif().get(ORIENTATION, 1):
        low = ImageOps.exif_transpose(low) or low
    return np.asarray(image)[..., :3].astype(np.int64) * 256 + np.asarray(low)[..., :3]
