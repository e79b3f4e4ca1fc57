"""How pictures of every kind become bytes: channels, transparent parts, 16 bits and shape, the same everywhere."""

from __future__ import annotations

from typing import Annotated, Literal, Self

import numpy as np
from PIL import Image, ImageOps
from pydantic import Field, model_validator

from aebnas_bo.data.sixteen_bit_colours import is_wide, wide_colours
from aebnas_bo.storage.frozen_model import FrozenModel

MODES = {1: "L", 3: "RGB"}
GREY_MODES = frozenset({"1", "L", "LA", "La", "I", "F"})  # and all that begin with `I;16`
OPAQUE = 255
GREYS = 256
SIXTEEN_BITS = (0, 65535)

Fit = Literal["squeeze", "letterbox", "crop"]


class PictureConversion(FrozenModel):
    """What turns pictures into bytes, decided once for a data set and kept with every network trained on it.

    Args:
        background: Grey level behind transparent parts; null keeps the colour that a file has below them, as networks
            of earlier versions were trained.
        bars: Grey level of the bars that `letterbox` adds.
        sixteen_bits: Values of 16-bit pictures that become black and white.
        fit: What becomes of pictures that are not square: `squeeze` changes their shape, `letterbox` adds bars, `crop`
            keeps the square in the middle.
    """

    background: Annotated[int, Field(ge=0, le=255)] | None = 255
    bars: Annotated[int, Field(ge=0, le=255)] = 0
    sixteen_bits: tuple[Annotated[int, Field(ge=0)], Annotated[int, Field(le=65535)]] = SIXTEEN_BITS
    fit: Fit = "squeeze"

    @model_validator(mode="after")
    def _check(self) -> Self:
        black, white = self.sixteen_bits
        if black >= white:
            raise ValueError(f"sixteen_bits: black must be below white, got {black} and {white}")
        return self


DEFAULT_CONVERSION = PictureConversion()


def image_array(
    image: Image.Image, size: int, channels: int, *, conversion: PictureConversion = DEFAULT_CONVERSION
) -> np.ndarray:
    """Turn a picture the right way up, convert and resize it.

    Args:
        image: The picture.
        size: Side in pixels.
        channels: 1 for grey, 3 for colour.
        conversion: What becomes of transparent parts, 16 bits and other shapes.

    Returns:
        `channels x size x size`, uint8.

    Raises:
        ValueError: If its numbers are wider than 16 bits.
    """
    upright = ImageOps.exif_transpose(image) or image
    converted = _opaque(_eight_bits(upright, image.format, conversion), conversion.background).convert(MODES[channels])
    pixels = np.asarray(_fitted(converted, size, conversion))
    return pixels[None] if channels == 1 else pixels.transpose(2, 0, 1)


def is_sixteen_bits(image: Image.Image, file_format: str | None) -> bool:
    """Say whether a picture holds greys or, if it carries their lower bits, colours of 16 bits.

    Args:
        image: The picture.
        file_format: Format of its file, which `ImageOps` forgets.
    """
    return is_wide(image) or image.mode.startswith("I;16") or (image.mode == "I" and file_format in ("PNG", "PPM"))


def sixteen_bit_values(image: Image.Image) -> np.ndarray:
    """Return the greys, `H x W`, or colours, `H x W x 3`, of a picture of 16 bits."""
    return wide_colours(image) if is_wide(image) else np.asarray(image).astype(np.int64)


def opacity(image: Image.Image) -> np.ndarray | None:
    """Return how opaque each pixel is, `H x W` uint8, or `None` of a picture without transparent parts."""
    if not image.has_transparency_data:
        return None
    if image.mode.startswith("I"):
        clear = image.info.get("transparency")
        alpha = np.where(np.asarray(image) == clear, 0, OPAQUE).astype(np.uint8) if isinstance(clear, int) else None
    else:
        alpha = np.asarray(image.convert("RGBA").getchannel("A"))
    return None if alpha is None or int(alpha.min()) == OPAQUE else alpha


def is_grey(image: Image.Image) -> bool:
    """Say whether a picture is stored without colour: in shades of grey, or with a palette of them."""
    if image.mode in GREY_MODES or image.mode.startswith("I;16"):
        return True
    if image.mode not in ("P", "PA"):
        return False
    colours = np.asarray(image.convert("RGB"))
    return bool((colours == colours[..., :1]).all())


def _eight_bits(image: Image.Image, file_format: str | None, conversion: PictureConversion) -> Image.Image:
    """Return a picture of 16 bits with 8, where Pillow would clip; refuse other wide numbers."""
    if is_sixteen_bits(image, file_format):
        black, white = conversion.sixteen_bits
        values = sixteen_bit_values(image)
        greys = ((values - black) * GREYS // (white - black + 1)).clip(0, GREYS - 1).astype(np.uint8)
        found = Image.fromarray(greys)
        alpha = opacity(image)
        if alpha is not None:
            found.putalpha(Image.fromarray(alpha))
        return found
    if image.mode in ("I", "F"):
        raise ValueError(f"mode {image.mode}, whose black and white are unknown; save it with 8 or 16 bits")
    return image


def _opaque(image: Image.Image, background: int | None) -> Image.Image:
    """Return a picture with its transparent parts before a grey level; unchanged if it has none."""
    if background is None or opacity(image) is None:
        return image
    below = Image.new("RGBA", image.size, (background, background, background, OPAQUE))
    return Image.alpha_composite(below, image.convert("RGBA")).convert("RGB")


def _fitted(image: Image.Image, size: int, conversion: PictureConversion) -> Image.Image:
    if image.size == (size, size):
        return image
    if image.width == image.height or conversion.fit == "squeeze":
        return _resized(image, size, size)
    if conversion.fit == "crop":
        side = min(image.size)
        left, top = (image.width - side) // 2, (image.height - side) // 2
        return _resized(image.crop((left, top, left + side, top + side)), size, size)
    scale = size / max(image.size)
    inner = _resized(image, max(round(image.width * scale), 1), max(round(image.height * scale), 1))
    bars = conversion.bars
    canvas = Image.new(image.mode, (size, size), bars if image.mode == "L" else (bars, bars, bars))
    canvas.paste(inner, ((size - inner.width) // 2, (size - inner.height) // 2))
    return canvas


def _resized(image: Image.Image, width: int, height: int) -> Image.Image:
    is_shrinking = image.width % width == 0 and image.height % height == 0
    filtering = Image.Resampling.BOX if is_shrinking else Image.Resampling.BILINEAR
    return image if image.size == (width, height) else image.resize((width, height), filtering)
