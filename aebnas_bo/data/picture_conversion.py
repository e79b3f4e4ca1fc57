"""Conversion of images to pixels of a network: channels, transparency, 16-bit values, size and aspect ratio."""

from __future__ import annotations

from typing import Annotated, Literal, Self

import numpy as np
from PIL import Image, ImageOps
from pydantic import Field, model_validator

from aebnas_bo.data.sixteen_bit_colours import is_wide, wide_colours
from aebnas_bo.storage.frozen_model import FrozenModel

MODES = {1: "L", 3: "RGB"}
GREY_MODES = frozenset({"1", "L", "LA", "La", "I", "F"})  # and all modes that start with `I;16`
OPAQUE = 255
GREYS = 256
SIXTEEN_BITS = (0, 65535)

Fit = Literal["squeeze", "letterbox", "crop"]


class PictureConversion(FrozenModel):
    """Settings of the conversion, fixed for a data set and stored with every network trained on it.

    Args:
        background: Grey level behind transparent pixels; null keeps the colour stored below them, as for networks
            trained with earlier versions.
        bars: Grey level of the bars that `letterbox` adds.
        sixteen_bits: Values of 16-bit images that become black and white.
        fit: Treatment of images that are not square: `squeeze` changes the aspect ratio, `letterbox` adds bars, `crop`
            keeps the central square.
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
    """Rotate an image as its EXIF data says, convert and resize it.

    Args:
        image: PIL image.
        size: Side in pixels.
        channels: 1 for grey, 3 for colour.
        conversion: Treatment of transparency, 16-bit values and images that are not square.

    Returns:
        `channels x size x size`, uint8.

    Raises:
        ValueError: If its values have more than 16 bits.
    """
    upright = ImageOps.exif_transpose(image) or image
    converted = _opaque(_eight_bits(upright, image.format, conversion), conversion.background).convert(MODES[channels])
    pixels = np.asarray(_fitted(converted, size, conversion))
    return pixels[None] if channels == 1 else pixels.transpose(2, 0, 1)


def is_sixteen_bits(image: Image.Image, file_format: str | None) -> bool:
    """Return whether an image has 16 bits per channel; colours need the low bytes from `sixteen_bit_colours`.

    Args:
        image: PIL image.
        file_format: Format of the file, which `ImageOps` does not preserve.
    """
    return is_wide(image) or image.mode.startswith("I;16") or (image.mode == "I" and file_format in ("PNG", "PPM"))


def sixteen_bit_values(image: Image.Image) -> np.ndarray:
    """Return the values of a 16-bit image, `H x W` for grey or `H x W x 3` for colour."""
    return wide_colours(image) if is_wide(image) else np.asarray(image).astype(np.int64)


def opacity(image: Image.Image) -> np.ndarray | None:
    """Return the alpha channel, `H x W` uint8, or `None` if all pixels are opaque."""
    if not image.has_transparency_data:
        return None
    if image.mode.startswith("I"):
        clear = image.info.get("transparency")
        alpha = np.where(np.asarray(image) == clear, 0, OPAQUE).astype(np.uint8) if isinstance(clear, int) else None
    else:
        alpha = np.asarray(image.convert("RGBA").getchannel("A"))
    return None if alpha is None or int(alpha.min()) == OPAQUE else alpha


def is_grey(image: Image.Image) -> bool:
    """Return whether an image is stored in grey, directly or with a palette of greys."""
    if image.mode in GREY_MODES or image.mode.startswith("I;16"):
        return True
    if image.mode not in ("P", "PA"):
        return False
    colours = np.asarray(image.convert("RGB"))
    return bool((colours == colours[..., :1]).all())


def _eight_bits(image: Image.Image, file_format: str | None, conversion: PictureConversion) -> Image.Image:
    """Scale a 16-bit image to 8 bits, where Pillow would clip; raise `ValueError` for wider values."""
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
        raise ValueError(f"the range of mode {image.mode} is unknown; save it with 8 or 16 bits")
    return image


def _opaque(image: Image.Image, background: int | None) -> Image.Image:
    """Composite an image over a grey background; return it unchanged if it is opaque."""
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
