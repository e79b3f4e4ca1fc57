"""An early-exit network on a given backbone: plain modules, with the backbone or on its features."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from aebnas_bo.space.architecture import Architecture, Skeleton
from aebnas_bo.supernet.feature_layout import FeatureLayout
from aebnas_bo.supernet.subnet import Subnet


class GivenSubnet(Subnet):
    """An early-exit network with the pieces of a given backbone as its stages.

    Args:
        architecture: The branches.
        skeleton: The fixed part of the space.
        pieces: The backbone from the images to the first point, from each point to the next, and to the logits.
    """

    def __init__(self, architecture: Architecture, skeleton: Skeleton, pieces: Sequence[nn.Module]) -> None:
        super().__init__(architecture, skeleton)
        self.stages = nn.ModuleList(pieces[:-1])
        self.head = nn.Sequential(pieces[-1])


class FeatureSubnet(Subnet):
    """The branches of an early-exit network, which read rows of features in place of images.

    Args:
        architecture: The branches.
        skeleton: The fixed part of the space.
    """

    def __init__(self, architecture: Architecture, skeleton: Skeleton) -> None:
        super().__init__(architecture, skeleton)
        self.layout = FeatureLayout.of(skeleton)

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """Return the logits of every output from `B x F` rows of features; see `Subnet.forward`."""
        features, final = self.layout.split(images.float())
        named = {str(stage): one for stage, one in zip(self.skeleton.exit_stages, features, strict=True)}
        return (*(branch(named[stage]) for stage, branch in self.branches.items()), final)
