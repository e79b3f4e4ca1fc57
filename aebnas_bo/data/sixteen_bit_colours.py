"""Colours of 16 bits, of which Pillow reads the upper eight alone: a second look at the file gives the lower ones."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image, ImageFile, ImageOps

LOW_BYTES = "aebnas_bo.low_bytes"  # under which a picture carries them
# Pillow's names of how a file stores its pixels, with the one that takes the other byte of each number.
OTHER_BYTES = {"RGB;16B": "RGB;16L", "RGBA;16B": "RGBA;16L", "RGB;16L": "RGB;16B", "RGBA;16L": "RGBA;16B"}
ORIENTATION = 0x0112  # of EXIF
GREY_WITH_ALPHA = "LA;16B"  # four bytes a pixel, as RGBA has


def low_bytes(image: Image.Image, data: bytes) -> Image.Image | None:
    """Return the lower eight bits of a picture's colours, or `None` if it has no more than eight.

    Args:
        image: The picture, opened and not yet decoded.
        data: Its file.
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
    """Return Pillow's name of how a part of a file stores its pixels."""
    arguments = tile.args if isinstance(tile.args, tuple) else (tile.args,)
    return str(arguments[0]) if arguments else ""


def _stored_as(tile: ImageFile._Tile, name: str) -> ImageFile._Tile:
    return tile._replace(args=(name, *tile.args[1:]) if isinstance(tile.args, tuple) else name)


def is_wide(image: Image.Image) -> bool:
    """Say whether a picture carries colours of 16 bits."""
    return LOW_BYTES in image.info


def wide_colours(image: Image.Image) -> np.ndarray:
    """Return the colours of a picture that carries the lower bits, `H x W x 3` of 0 to 65535, without opacity.

    Args:
        image: The picture, as it is or turned the right way up.
    """
    low: Image.Image = image.info[LOW_BYTES]
    if low.size != image.size or image.getexif().get(ORIENTATION, 1) != low.getexif().get(ORIENTATION, 1):
        low = ImageOps.exif_transpose(low) or low
    return np.asarray(image)[..., :3].astype(np.int64) * 256 + np.asarray(low)[..., :3]
