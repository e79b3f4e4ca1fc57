"""Backbone blocks of the supernet."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from aebnas_bo.space.architecture import Activation
from aebnas_bo.space.declaration import StageChoices
from aebnas_bo.space.plan import BlockPlan, ConvPlan, squeeze_plan
from aebnas_bo.supernet.elastic_layers import ElasticConvNorm, ElasticSqueeze, modules_of


class ElasticBlock(nn.Module):
    """An inverted residual block of maximal size (MobileNetV2, Sandler et al. 2018, figure 3).

    Args:
        in_channels: Most input channels.
        choices: What may vary in its stage.
        is_squeezed: Whether it has squeeze-and-excitation.
        generator: Source of the initial weights.
    """

    def __init__(self, in_channels: int, choices: StageChoices, is_squeezed: bool, generator: torch.Generator) -> None:
        super().__init__()
        hidden = in_channels * max(choices.expansions)
        self.convolutions = inverted_residual(in_channels, hidden, max(choices.widths), max(choices.kernels), generator)
        self.squeeze = ElasticSqueeze(squeeze_plan(hidden), generator) if is_squeezed else None

    def parts(self, plan: BlockPlan) -> Iterator[tuple[ElasticConvNorm, ConvPlan]]:
        """Yield each convolution with what to slice from it."""
        yield from zip(modules_of(self.convolutions, ElasticConvNorm), plan.convolutions, strict=True)

    def forward(self, features: Tensor, plan: BlockPlan, activation: Activation) -> Tensor:
        """Map `B x C x H x W` to `B x C' x H' x W'`; the projection is linear."""
        (expand, expand_plan), (depthwise, depthwise_plan), (project, project_plan) = self.parts(plan)
        hidden = expand(features, expand_plan, activation)
        hidden = depthwise(hidden, depthwise_plan, activation)
        if self.squeeze is not None and plan.squeeze is not None:
            hidden = self.squeeze(hidden, plan.squeeze)
        output: Tensor = project(hidden, project_plan, None)
        return features + output if plan.has_residual else output


def inverted_residual(
    in_channels: int, hidden: int, out_channels: int, kernel: int, generator: torch.Generator
) -> nn.ModuleList:
    """Return the three convolutions of an inverted residual block: expansion, depthwise, projection.

    Args:
        in_channels: Most input channels.
        hidden: Most channels of the depthwise convolution.
        out_channels: Most output channels.
        kernel: Largest kernel of the depthwise convolution.
        generator: Source of the initial weights.
    """
    return nn.ModuleList(
        [
            ElasticConvNorm(in_channels, hidden, 1, False, generator),
            ElasticConvNorm(hidden, hidden, kernel, True, generator),
            ElasticConvNorm(hidden, out_channels, 1, False, generator),
        ]
    )
