"""A given backbone as plain values: its factory, and the points at which exits may be attached.

Legend: `C` channels, `S` side of a map in pixels, `T` tokens, `D` features of a token.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from math import isqrt
from typing import Literal

BackboneSource = Literal["torchvision", "timm", "transformers", "aebnas_bo", "module"]
Layout = Literal["map", "map_last", "tokens"]
TokenPooling = Literal["mean", "class_token", "attention"]


@dataclass(frozen=True)
class BackbonePoint:
    """Point of a backbone at which one tensor carries everything on.

    Args:
        name: Path of the module that ends there, such as `layer2.1`.
        layout: Axes of the tensor after the batch: `map` is `C x S x S`, `map_last` is `S x S x C`, `tokens` is
            `T x D`.
        shape: Its sizes, without the batch.
        macs: MACs of the backbone up to this point, for one image.
    """

    name: str
    layout: Layout
    shape: tuple[int, ...]
    macs: int

    @property
    def channels(self) -> int:
        """Channels of a map, or features of a token."""
        return self.shape[0] if self.layout == "map" else self.shape[-1]

    @property
    def side(self) -> int:
        """Side in pixels of the map that a branch reads: 1 for tokens, which a branch pools first."""
        return 1 if self.layout == "tokens" else self.shape[1]

    @property
    def num_tokens(self) -> int:
        """Number of tokens; 0 for a map."""
        return self.shape[0] if self.layout == "tokens" else 0

    @property
    def poolings(self) -> tuple[TokenPooling, ...]:
        """Ways to pool the tokens; none for a map.

        A class token is assumed first where the other tokens fill a square and all tokens do not.
        """
        if self.layout != "tokens":
            return ()
        count = self.num_tokens
        has_class_token = isqrt(count) ** 2 != count and isqrt(count - 1) ** 2 == count - 1
        return ("mean", "class_token", "attention") if has_class_token else ("mean", "attention")


@dataclass(frozen=True)
class GivenBackbone:
    """A backbone that is not searched, without its weights.

    Args:
        source: Library or `module` that creates it; `aebnas_bo` for a network of this package.
        name: Name of the model in the library, or `package.module:factory`.
        in_channels: Channels of an image.
        num_classes: Number of classes, `K`.
        resolution: Side in pixels of the images it reads.
        points: Points at which exits may be attached, in order.
        macs: MACs of the whole backbone, for one image.
    """

    source: BackboneSource
    name: str
    in_channels: int
    num_classes: int
    resolution: int
    points: tuple[BackbonePoint, ...]
    macs: int

    @property
    def key(self) -> str:
        """Name with everything that its pieces depend on except their code."""
        return f"{self.source} {self.name} at {self.resolution} for {self.num_classes}, {self._points_hash}"

    @cached_property
    def _points_hash(self) -> str:
        text = repr([self.in_channels, self.macs, *self.points])
        return hashlib.sha256(text.encode()).hexdigest()[:8]

    @cached_property
    def piece_macs(self) -> tuple[int, ...]:
        """MACs between neighbouring points, from the image to the first one on, and from the last one to the end."""
        reached = [0, *(point.macs for point in self.points), self.macs]
        return tuple(after - before for before, after in pairwise(reached))
