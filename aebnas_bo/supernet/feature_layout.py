"""Features of a given backbone at the points of a space's exits, with its logits, as one row of numbers per image.

As one tensor, features take the place of images in training, in estimates and in files.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from math import prod

import torch
from torch import Tensor

from aebnas_bo.space.architecture import Skeleton


@dataclass(frozen=True)
class FeatureLayout:
    """Positions of the features in a row.

    Args:
        shapes: Sizes of the features at each exit position, without the batch.
        num_classes: Number of logits behind them, `K`.
    """

    shapes: tuple[tuple[int, ...], ...]
    num_classes: int

    @classmethod
    def of(cls, skeleton: Skeleton) -> FeatureLayout:
        """Return the layout of a space with a given backbone."""
        given = skeleton.given
        assert given is not None
        return cls(tuple(given.points[stage].shape for stage in skeleton.exit_stages), given.num_classes)

    @property
    def width(self) -> int:
        """Numbers in a row, `F`."""
        return sum(prod(shape) for shape in self.shapes) + self.num_classes

    def joined(self, features: Sequence[Tensor], logits: Tensor) -> Tensor:
        """Return rows, `B x F`.

        Args:
            features: Features at each exit position, with the batch first.
            logits: Logits of the backbone, `B x K`.
        """
        return torch.cat([*(one.flatten(1) for one in features), logits], dim=1)

    def split(self, rows: Tensor) -> tuple[list[Tensor], Tensor]:
        """Return the features at each exit position and the logits, from `B x F` rows."""
        ends = list(accumulate((prod(shape) for shape in self.shapes), initial=0))
        features = [
            rows[:, start : start + prod(shape)].reshape(-1, *shape)
            for start, shape in zip(ends, self.shapes, strict=False)
        ]
        return features, rows[:, ends[-1] :]
