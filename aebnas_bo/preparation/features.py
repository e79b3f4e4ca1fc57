"""Features of a given backbone, computed once per image: kept in a file mapped to memory, which ends with the process.

The file has no name, so that nothing is left behind where a process is killed. Features are kept as float16, which
rounds them less than the branches notice, unless they are too large for it.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from aebnas_bo.backbones.pieces import cut_at
from aebnas_bo.data.images import LabelledImages
from aebnas_bo.data.splits import Splits
from aebnas_bo.data.transforms import normalize
from aebnas_bo.errors import ConfigError
from aebnas_bo.preparation.backbone_loading import traced_backbone
from aebnas_bo.space.architecture import Skeleton
from aebnas_bo.space.backbone_declaration import BackboneDeclaration
from aebnas_bo.supernet.feature_layout import FeatureLayout
from aebnas_bo.supernet.subnet import resize

BATCH_SIZE = 128
LARGEST_IN_HALF = 1e4  # a sixth of float16's largest number, for images with larger features than those tried
BYTES_PER_GIGABYTE = 1e9


@dataclass(frozen=True, eq=False)
class FrozenBackbone:
    """A given backbone with its weights, cut at its points.

    Args:
        pieces: From the images to the first point, from each point to the next, and to the logits.
        skeleton: The fixed part of the space.
        device: Device that it runs on.
    """

    pieces: Sequence[nn.Module]
    skeleton: Skeleton
    device: str

    @classmethod
    def of(cls, declared: BackboneDeclaration, skeleton: Skeleton, device: str) -> FrozenBackbone:
        """Create the backbone of a space, and load its weights.

        Args:
            declared: The backbone.
            skeleton: The fixed part of the space.
            device: Device to run it on.

        Raises:
            ConfigError: If it cannot be created as it was, or its weights are missing or changed.
        """
        assert skeleton.given is not None
        pieces = cut_at(traced_backbone(declared, device), [point.name for point in skeleton.given.points])
        return cls([piece.requires_grad_(False) for piece in pieces], skeleton, device)

    @property
    def layout(self) -> FeatureLayout:
        """The layout of a row of features."""
        return FeatureLayout.of(self.skeleton)

    @torch.no_grad()
    def rows(self, images: Tensor, splits: Splits) -> Tensor:
        """Return the features of `B x C x H x W` images of bytes as `B x F` rows, float32, on the CPU."""
        given = self.skeleton.given
        assert given is not None
        features: Tensor = normalize(images, splits.mean, splits.std, device=self.device)
        features = resize(features, given.resolution)
        found = []
        for stage, piece in enumerate(self.pieces[:-1]):
            features = piece(features)
            if stage in self.skeleton.exit_stages:
                found.append(features)
        return self.layout.joined(found, self.pieces[-1](features)).cpu()


def feature_bytes(backbone: FrozenBackbone, images: LabelledImages, splits: Splits) -> int:
    """Return the bytes of each number of the features of images, from the first of them: 2 or 4.

    Args:
        backbone: The backbone.
        images: The images.
        splits: Mean and standard deviation for normalisation.
    """
    return _type_of(backbone.rows(images.images[:BATCH_SIZE], splits)).itemsize


def _type_of(rows: Tensor) -> np.dtype[np.floating]:
    """Return the type in which features are kept."""
    return np.dtype(np.float16 if float(rows.abs().max()) < LARGEST_IN_HALF else np.float32)


def most_images(declared: BackboneDeclaration, layout: FeatureLayout, num_bytes: int) -> int:
    """Return how many images' features fit into the configured space.

    Args:
        declared: The backbone, with the space.
        layout: The layout of a row.
        num_bytes: Bytes of a number.

    Raises:
        ConfigError: If not even two images fit.
    """
    count = int(declared.feature_gigabytes * BYTES_PER_GIGABYTE / (num_bytes * layout.width))
    if count < 2:
        needed = 2 * num_bytes * layout.width / BYTES_PER_GIGABYTE
        raise ConfigError(
            f"space.backbone.feature_gigabytes: the features of two images take {needed:.2g} GB, got "
            f"{declared.feature_gigabytes:g}; raise it, or name fewer points in space.backbone.exits_after"
        )
    return count


def kept_features(backbone: FrozenBackbone, images: LabelledImages, splits: Splits, *, folder: Path | None) -> Tensor:
    """Compute the features of images and keep them in a file.

    Args:
        backbone: The backbone.
        images: The images.
        splits: Mean and standard deviation for normalisation.
        folder: Folder of the file; `None` for that of temporary files.

    Returns:
        `N x F` rows, float16 or float32, mapped to memory.
    """
    parts = torch.split(images.images, BATCH_SIZE)
    first = backbone.rows(parts[0], splits)
    with tempfile.TemporaryFile(dir=folder) as file:  # the mapping stays when it is closed
        shape = (len(images.images), first.shape[1])
        kept = np.memmap(file, dtype=_type_of(first), mode="w+", shape=shape)
    start = 0
    for part in parts:
        kept[start : start + len(part)] = backbone.rows(part, splits).numpy()
        start += len(part)
    return torch.from_numpy(kept)
