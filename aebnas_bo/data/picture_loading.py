"""Conversion of a whole data set, in which channels, background and 16-bit range depend on all training images."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from statistics import median_low

import numpy as np
from PIL import Image

from aebnas_bo.data.picture_conversion import (
    SIXTEEN_BITS,
    PictureConversion,
    image_array,
    is_grey,
    is_sixteen_bits,
    opacity,
    sixteen_bit_values,
)
from aebnas_bo.data.settings import DataConfig

TRAIN = "train"
COLOUR = 3
WHITE, LIGHT = 255, 128
LEAST_BITS = 8
LEAST_SHARE = 0.25  # share of the range that values must span; narrower ranges are stretched

Position = tuple[str, int]


@dataclass(frozen=True)
class PictureCounts:
    """Properties of the images of a data set, over all splits.

    Args:
        pictures: Number of images.
        grey: Images stored in grey.
        lost_colours: Colour images that were converted to grey.
        sixteen_bits: Images with 16 bits per channel.
        transparent: Images with transparency.
        not_square: Images that are not square.
        typical_size: Median width and height of those that are not square.
    """

    pictures: int = 0
    grey: int = 0
    lost_colours: int = 0
    sixteen_bits: int = 0
    transparent: int = 0
    not_square: int = 0
    typical_size: tuple[int, int] | None = None


NO_COUNTS = PictureCounts()


class PictureLoader:
    """Converts the images of a data set; the training images determine the conversion.

    Call `add` for every image, then `decide`, then `add_again` for every position in `waiting`.

    Args:
        counts: Number of images of each split.
        size: Side in pixels to which images are resized.
        config: Channels, background and fit.
    """

    def __init__(self, counts: Mapping[str, int], size: int, config: DataConfig) -> None:
        self._size, self._config = size, config
        self._channels: int = COLOUR if config.channels == "auto" else config.channels
        shape = (self._channels, size, size)
        self.pixels = {split: np.empty((count, *shape), dtype=np.uint8) for split, count in counts.items()}
        self.conversion = conversion_of(config)
        self.waiting: list[Position] = []
        self._colour: list[Position] = []
        self._values: list[tuple[int, int]] = []
        self._lightness: list[float] = []
        self._sizes: list[tuple[int, int]] = []
        self._num_transparent = self._num_sixteen = 0

    def add(self, split: str, position: int, image: Image.Image) -> None:
        """Inspect an image, and convert it unless its conversion depends on other images.

        Args:
            split: Split of the image.
            position: Position of the image in the split.
            image: PIL image.

        Raises:
            ValueError: If its values have more than 16 bits.
        """
        if image.width != image.height:
            self._sizes.append(image.size)
        if not is_grey(image):
            self._colour.append((split, position))
        is_wide, alpha = is_sixteen_bits(image, image.format), opacity(image)
        self._num_sixteen += is_wide
        self._num_transparent += alpha is not None
        if split == TRAIN and is_wide:
            values = sixteen_bit_values(image)
            self._values.append((int(values.min()), int(values.max())))
        if split == TRAIN and alpha is not None and alpha.any() and not is_wide:
            greys = np.asarray(image.convert("RGBA").convert("L"))
            self._lightness.append(float(np.average(greys, weights=alpha)))
        if is_wide or (alpha is not None and self._config.background == "auto"):
            self.waiting.append((split, position))
        else:
            self._convert(split, position, image)

    def decide(self) -> None:
        """Choose channels, background and 16-bit range from the training images."""
        update: dict[str, object] = {"sixteen_bits": _range(self._values)}
        if self._config.background == "auto" and self._lightness:
            update["background"] = 0 if float(np.mean(self._lightness)) >= LIGHT else WHITE
        self.conversion = self.conversion.model_copy(update=update)
        has_colour = any(split == TRAIN for split, _ in self._colour)
        if self._config.channels == "auto" and not has_colour:
            self._channels = 1
            self.pixels = {split: np.ascontiguousarray(pixels[:, :1]) for split, pixels in self.pixels.items()}
            self.waiting = sorted({*self.waiting, *self._colour})

    def add_again(self, split: str, position: int, image: Image.Image) -> None:
        """Convert an image that `waiting` lists.

        Args:
            split: Split of the image.
            position: Position of the image in the split.
            image: PIL image.
        """
        self._convert(split, position, image)

    @property
    def counts(self) -> PictureCounts:
        """Properties of the images added so far."""
        num_pictures = sum(len(pixels) for pixels in self.pixels.values())
        widths, heights = zip(*self._sizes, strict=True) if self._sizes else ((), ())
        return PictureCounts(
            pictures=num_pictures,
            grey=num_pictures - len(self._colour),
            lost_colours=len(self._colour) if self._channels == 1 else 0,
            sixteen_bits=self._num_sixteen,
            transparent=self._num_transparent,
            not_square=len(self._sizes),
            typical_size=(median_low(widths), median_low(heights)) if self._sizes else None,
        )

    def _convert(self, split: str, position: int, image: Image.Image) -> None:
        self.pixels[split][position] = image_array(image, self._size, self._channels, conversion=self.conversion)


def conversion_of(config: DataConfig) -> PictureConversion:
    """Return the conversion before any image was inspected.

    Args:
        config: Background and fit.
    """
    if config.background == "auto":
        return PictureConversion(fit=config.fit)
    return PictureConversion(background=config.background, bars=config.background, fit=config.fit)


def _range(values: list[tuple[int, int]]) -> tuple[int, int]:
    """Return the values that become black and white: 0 and the largest of the bits in use, or a narrow range itself."""
    if not values:
        return SIXTEEN_BITS
    low, high = min(low for low, _ in values), max(high for _, high in values)
    white = 2 ** max(high.bit_length(), LEAST_BITS) - 1
    return (low, high) if 0 < high - low < LEAST_SHARE * white else (0, white)
