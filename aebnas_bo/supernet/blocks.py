"""Backbone blocks of the supernet."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn

from aebnas_bo.space.architecture import Activation
from aebnas_bo.space.block_and_layer_kinds import LAYER_KINDS, Channels, LayerKind
from aebnas_bo.space.declaration import StageChoices
from aebnas_bo.space.plan import BlockPlan, ConvPlan, squeeze_plan
from aebnas_bo.supernet.elastic_layers import ElasticConvNorm, ElasticSqueeze, modules_of


class ElasticBlock(nn.Module):
    """A backbone block of maximal size with separate weights for each kind.

    Args:
        in_channels: Largest number of input channels.
        choices: Choices of the stage.
        is_squeezed: Whether it has squeeze-and-excitation.
        generator: Source of the initial weights.
    """

    def __init__(
        self, in_channels: int, choices: StageChoices, *, is_squeezed: bool, generator: torch.Generator
    ) -> None:
        super().__init__()
        hidden, width = in_channels * max(choices.expansions), max(choices.widths)
        sizes = LayerSizes(in_channels, hidden, width, max(choices.kernels))
        self.kinds = nn.ModuleDict({kind: convolutions_of(kind, sizes, generator) for kind in choices.kinds})
        squeezed = {kind: LAYER_KINDS[kind].depthwise_channels for kind in choices.kinds if is_squeezed}
        self.squeezes = nn.ModuleDict(
            {
                kind: ElasticSqueeze(squeeze_plan(sizes.channels(channels)), generator)
                for kind, channels in squeezed.items()
                if channels is not None
            }
        )

    def parts(self, plan: BlockPlan) -> Iterator[tuple[ElasticConvNorm, ConvPlan]]:
        """Yield each convolution with what to slice from it."""
        yield from zip(modules_of(self.kinds[plan.kind], ElasticConvNorm), plan.convolutions, strict=True)

    def squeeze_of(self, plan: BlockPlan) -> ElasticSqueeze | None:
        """Return the squeeze-and-excitation of the plan's kind, if its stage has any."""
        return cast(ElasticSqueeze, self.squeezes[plan.kind]) if plan.squeeze is not None else None

    def forward(self, features: Tensor, plan: BlockPlan, activation: Activation) -> Tensor:
        """Map `B x C x H x W` to `B x C' x H' x W'`."""
        output, squeeze = features, self.squeeze_of(plan)
        for (convolution, conv_plan), is_linear in zip(self.parts(plan), plan.are_linear, strict=True):
            output = convolution(output, conv_plan, None if is_linear else activation)
            if squeeze is not None and plan.squeeze is not None and conv_plan.is_depthwise:
                output = squeeze(output, plan.squeeze)
        return features + output if plan.has_residual else output


@dataclass(frozen=True)
class LayerSizes:
    """Largest sizes of a block or a branch layer.

    Args:
        in_channels: Largest number of input channels.
        hidden: Largest number of hidden channels of kinds that expand.
        out_channels: Largest number of output channels.
        kernel: Largest kernel of the spatial convolution.
    """

    in_channels: int
    hidden: int
    out_channels: int
    kernel: int

    def channels(self, which: Channels) -> int:
        """Return how many channels a name of `block_and_layer_kinds` stands for."""
        return {"input": self.in_channels, "hidden": self.hidden, "output": self.out_channels}[which]


def convolutions_of(kind: LayerKind, sizes: LayerSizes, generator: torch.Generator) -> nn.ModuleList:
    """Return the convolutions of a block or a branch layer, in the order of its plan.

    Args:
        kind: Kind of the block or layer.
        sizes: Largest sizes of the block or layer.
        generator: Source of the initial weights.
    """
    convolutions, inputs = nn.ModuleList(), sizes.in_channels
    for one in LAYER_KINDS[kind].convolutions:
        outputs, kernel = sizes.channels(one.writes), sizes.kernel if one.is_spatial else 1
        convolutions.append(
            ElasticConvNorm(inputs, outputs, kernel, is_depthwise=one.is_depthwise, generator=generator)
        )
        inputs = outputs
    return convolutions
