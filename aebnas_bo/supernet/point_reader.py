"""The first part of a branch of a given backbone: its features as normalised maps."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from aebnas_bo.space.plan import ReaderPlan


def as_maps(features: Tensor, plan: ReaderPlan, query: Tensor | None) -> Tensor:
    """Return the features at a point as maps; tokens are pooled to a map of one pixel.

    Args:
        features: `B x C x S x S`, `B x S x S x C` or `B x T x D`, as the plan's layout says.
        plan: The layout, and how tokens are pooled.
        query: `D x 1`, of attention pooling: tokens are weighted by the softmax of their products with it.

    Returns:
        `B x C x S x S`, or `B x D x 1 x 1` for tokens.
    """
    if plan.layout == "map":
        return features
    if plan.layout == "map_last":
        return features.permute(0, 3, 1, 2)
    if query is not None:
        weights = torch.softmax(features @ query * query.shape[0] ** -0.5, dim=1)  # B x T x 1
        pooled = weights.transpose(1, 2) @ features
    elif plan.pooling == "class_token":
        pooled = features[:, :1]
    else:
        pooled = features.mean(dim=1, keepdim=True)
    return pooled.transpose(1, 2).unsqueeze(-1)


class PointReader(nn.Module):
    """Reads a point of a given backbone; every channel has mean 0 and standard deviation 1.

    Backbones differ in the scale of their features, and one learning rate should suit the branches of all.

    Args:
        plan: Layout, sizes and pooling.
    """

    def __init__(self, plan: ReaderPlan) -> None:
        super().__init__()
        self.plan = plan
        self.query = nn.Parameter(torch.zeros(plan.channels, 1)) if plan.pooling == "attention" else None
        self.norm = nn.BatchNorm2d(plan.channels, affine=False)

    def forward(self, features: Tensor) -> Tensor:
        """Map features to maps, as `as_maps` does, and normalise them."""
        maps: Tensor = self.norm(as_maps(features, self.plan, self.query))
        return maps
