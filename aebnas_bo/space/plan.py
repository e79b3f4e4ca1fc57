"""The convolutions of a network, with all channels and sizes.

This is the only implementation of shape rules: MACs are summed over this plan, plain networks are constructed from it,
and the supernet slices by it. Padding is `kernel // 2`, so a convolution of stride `s` maps a side `n` to
`ceil(n / s)`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from typing import NamedTuple

from aebnas_bo.space.architecture import Architecture, BranchLayer, ExitBranch, Skeleton, Stage
from aebnas_bo.space.block_and_layer_kinds import LAYER_KINDS, LayerKind
from aebnas_bo.space.given_backbone import BackbonePoint, Layout, TokenPooling

CACHED_PLANS = 4096
SQUEEZE_MULTIPLE = 8


@dataclass(frozen=True)
class ConvPlan:
    """One convolution without bias, followed by BatchNorm.

    Args:
        in_channels: Channels it reads.
        out_channels: Channels it writes.
        kernel: Kernel size.
        stride: Stride.
        is_depthwise: Whether every channel has its own kernel.
        side: Side of its output in pixels.
    """

    in_channels: int
    out_channels: int
    kernel: int
    stride: int
    is_depthwise: bool
    side: int

    @property
    def macs(self) -> int:
        """Multiply-accumulate operations for one image, positions in the padding included."""
        inputs = 1 if self.is_depthwise else self.in_channels
        return self.side**2 * self.out_channels * inputs * self.kernel**2


@dataclass(frozen=True)
class SqueezePlan:
    """Squeeze-and-excitation: `channels` maps are pooled and weighed by factors that `squeezed` features give.

    Two 1x1 convolutions with biases on one pixel, the second back to `channels`.
    """

    channels: int
    squeezed: int

    @property
    def macs(self) -> int:
        """Multiply-accumulate operations of both convolutions; multiplying by the factors is none, as pooling."""
        return 2 * self.channels * self.squeezed


@dataclass(frozen=True)
class BlockPlan:
    """One block of the backbone.

    Args:
        convolutions: Its convolutions, in the order of its kind.
        has_residual: Whether its input is added to its output.
        squeeze: Squeeze-and-excitation behind its depthwise convolution, if it has one.
        kind: Kind of the block.
    """

    convolutions: tuple[ConvPlan, ...]
    has_residual: bool
    squeeze: SqueezePlan | None = None
    kind: LayerKind = "inverted_residual"

    @property
    def are_linear(self) -> tuple[bool, ...]:
        """Whether no non-linearity follows, for each convolution."""
        return tuple(one.is_linear for one in LAYER_KINDS[self.kind].convolutions)

    @property
    def expansion(self) -> int:
        """Channels inside as a multiple of those it reads; 1 for kinds that do not expand."""
        parts = zip(self.convolutions, LAYER_KINDS[self.kind].convolutions, strict=True)
        hidden = [plan.out_channels for plan, one in parts if one.writes == "hidden"]
        return hidden[0] // self.convolutions[0].in_channels if hidden else 1

    @property
    def macs(self) -> int:
        """Multiply-accumulate operations for one image."""
        squeeze = self.squeeze.macs if self.squeeze is not None else 0
        return sum(convolution.macs for convolution in self.convolutions) + squeeze


@dataclass(frozen=True)
class BranchLayerPlan:
    """One branch layer: optional upsampling to `upsample` pixels, convolutions with ReLU, optional max-pool."""

    layer: BranchLayer
    convolutions: tuple[ConvPlan, ...]


@dataclass(frozen=True)
class ReaderPlan:
    """What a branch of a given backbone does first: read a point as maps, pool tokens, and normalise every channel.

    Args:
        layout: Axes of the tensor at the point.
        shape: Its sizes, without the batch.
        pooling: How tokens are pooled to a map of one pixel; `None` for maps.
    """

    layout: Layout
    shape: tuple[int, ...]
    pooling: TokenPooling | None

    @property
    def channels(self) -> int:
        """Channels of the maps."""
        return self.shape[0] if self.layout == "map" else self.shape[-1]

    @property
    def macs(self) -> int:
        """MACs of attention pooling: one product with every token for its weight, and one for the sum."""
        return 2 * self.shape[0] * self.shape[1] if self.pooling == "attention" else 0


@dataclass(frozen=True)
class BranchPlan:
    """An exit branch; its classifier pools `classifier_channels` maps of `classifier_side` pixels a side.

    Args:
        layers: Its layers.
        classifier_channels: Channels that the classifier pools.
        classifier_side: Side of these maps in pixels.
        reader: How it reads a point of a given backbone; `None` behind a stage.
    """

    layers: tuple[BranchLayerPlan, ...]
    classifier_channels: int
    classifier_side: int
    reader: ReaderPlan | None = None


@dataclass(frozen=True)
class NetworkPlan:
    """A whole network.

    Args:
        resolution: Side in pixels of the image it reads.
        stem: The first convolution.
        stages: The blocks of each stage; none of an absent one.
        branches: One entry per exit position, `None` where there is no exit.
        head: The 1x1 convolution before the final pooling, if there is one.
        last_channels: Channels of the last stage's output.
        last_side: Side of that output in pixels.
    """

    resolution: int
    stem: ConvPlan
    stages: tuple[tuple[BlockPlan, ...], ...]
    branches: tuple[BranchPlan | None, ...]
    head: ConvPlan | None
    last_channels: int
    last_side: int

    @property
    def classifier_channels(self) -> int:
        """Channels that the final classifier pools."""
        return self.head.out_channels if self.head is not None else self.last_channels


@lru_cache(maxsize=CACHED_PLANS)
def network_plan(architecture: Architecture, skeleton: Skeleton) -> NetworkPlan:
    """Return every convolution of a network.

    Args:
        architecture: The network.
        skeleton: The fixed part of its space.
    """
    stem = stem_plan(architecture.resolution, architecture.stages[0].width, skeleton)
    channels, side = stem.out_channels, stem.side
    stages, stage_outputs = [], []
    for number, (stage, stride) in enumerate(zip(architecture.stages, skeleton.stage_strides, strict=True)):
        blocks = stage_plan(
            stage, in_channels=channels, side=side, stride=stride, is_squeezed=number in skeleton.squeezed_stages
        )
        stages.append(blocks)
        if blocks:
            channels, side = stage.width, blocks[-1].convolutions[-1].side
        stage_outputs.append((channels, side))
    branches = tuple(
        None if branch is None else branch_plan(branch, *stage_outputs[stage], stride=skeleton.branch_stride)
        for branch, stage in zip(architecture.exits, skeleton.exit_stages, strict=True)
    )
    head = head_plan(channels, side, skeleton)
    return NetworkPlan(
        resolution=architecture.resolution,
        stem=stem,
        stages=tuple(stages),
        branches=branches,
        head=head,
        last_channels=channels,
        last_side=side,
    )


def stem_plan(resolution: int, first_width: int, skeleton: Skeleton) -> ConvPlan:
    """Return the first convolution.

    Args:
        resolution: Side in pixels of the image.
        first_width: Width of the first stage.
        skeleton: The fixed part of the space.
    """
    channels = skeleton.stem_channels or -(-first_width // 2)
    return _conv(skeleton.in_channels, channels, 3, stride=skeleton.stem_stride, side=resolution)


def head_plan(channels: int, side: int, skeleton: Skeleton) -> ConvPlan | None:
    """Return the 1x1 convolution before the final pooling, if there is one."""
    return _conv(channels, skeleton.head_channels, 1, stride=1, side=side) if skeleton.head_channels else None


def stage_plan(stage: Stage, *, in_channels: int, side: int, stride: int, is_squeezed: bool) -> tuple[BlockPlan, ...]:
    """Return the blocks of one stage.

    Args:
        stage: The stage.
        in_channels: Channels it reads.
        side: Side of its input in pixels.
        stride: Stride of its first block.
        is_squeezed: Whether its blocks have squeeze-and-excitation.
    """
    blocks = []
    for block in stage.blocks:
        spatial = _Spatial(block.kind, block.kernel, stride)
        convolutions = _convolutions(
            spatial, in_channels=in_channels, hidden=in_channels * block.expansion, out_channels=stage.width, side=side
        )
        depthwise = next((convolution for convolution in convolutions if convolution.is_depthwise), None)
        squeeze = squeeze_plan(depthwise.out_channels) if is_squeezed and depthwise is not None else None
        blocks.append(BlockPlan(convolutions, stride == 1 and in_channels == stage.width, squeeze, block.kind))
        in_channels, side, stride = stage.width, convolutions[-1].side, 1
    return tuple(blocks)


def squeeze_plan(channels: int) -> SqueezePlan:
    """Return squeeze-and-excitation of so many channels.

    It squeezes to a quarter of them, rounded to a multiple of `SQUEEZE_MULTIPLE`, which is the least (MobileNetV3,
    Howard et al., ICCV 2019).
    """
    rounded = (channels // 4 + SQUEEZE_MULTIPLE // 2) // SQUEEZE_MULTIPLE * SQUEEZE_MULTIPLE
    return SqueezePlan(channels, max(rounded, SQUEEZE_MULTIPLE))


def _conv(
    in_channels: int, out_channels: int, kernel: int, *, stride: int, side: int, is_depthwise: bool = False
) -> ConvPlan:
    return ConvPlan(in_channels, out_channels, kernel, stride, is_depthwise, side=-(-side // stride))


class _Spatial(NamedTuple):
    """The spatial convolution of a block or a branch layer."""

    kind: LayerKind
    kernel: int
    stride: int


def _convolutions(
    spatial: _Spatial, *, in_channels: int, hidden: int, out_channels: int, side: int
) -> tuple[ConvPlan, ...]:
    """Return the convolutions of a block or a branch layer.

    Args:
        spatial: Kind, kernel and stride.
        in_channels: Channels it reads.
        hidden: Channels inside kinds that expand.
        out_channels: Channels it writes.
        side: Side of its input in pixels.
    """
    channels = {"input": in_channels, "hidden": hidden, "output": out_channels}
    convolutions = []
    for one in LAYER_KINDS[spatial.kind].convolutions:
        kernel, stride = (spatial.kernel, spatial.stride) if one.is_spatial else (1, 1)
        convolution = _conv(
            in_channels, channels[one.writes], kernel, stride=stride, side=side, is_depthwise=one.is_depthwise
        )
        convolutions.append(convolution)
        in_channels, side = convolution.out_channels, convolution.side
    return tuple(convolutions)


def branch_plan(branch: ExitBranch, channels: int, side: int, *, stride: int) -> BranchPlan:
    """Return the layers of an exit branch.

    Args:
        branch: The branch.
        channels: Channels it reads.
        side: Side of its input in pixels.
        stride: Stride of each of its layers.
    """
    layers = []
    for layer in branch.layers:
        convolutions = _branch_layer(layer, channels=channels, side=layer.upsample or side, stride=stride)
        layers.append(BranchLayerPlan(layer, convolutions))
        channels, side = convolutions[-1].out_channels, convolutions[-1].side
        if layer.pool:
            side //= 2
    return BranchPlan(tuple(layers), classifier_channels=channels, classifier_side=side)


def point_branch_plan(branch: ExitBranch, point: BackbonePoint, *, stride: int) -> BranchPlan:
    """Return the layers of an exit branch at a point of a given backbone.

    Args:
        branch: The branch.
        point: The point.
        stride: Stride of each of its layers.
    """
    plan = branch_plan(branch, point.channels, point.side, stride=stride)
    return replace(plan, reader=ReaderPlan(point.layout, point.shape, branch.pooling))


@lru_cache(maxsize=CACHED_PLANS)
def branch_plans(architecture: Architecture, skeleton: Skeleton) -> tuple[BranchPlan | None, ...]:
    """Return the branch at every exit position, `None` where there is no exit.

    Args:
        architecture: The network.
        skeleton: The fixed part of its space.
    """
    given = skeleton.given
    if given is None:
        return network_plan(architecture, skeleton).branches
    return tuple(
        None if branch is None else point_branch_plan(branch, given.points[point], stride=skeleton.branch_stride)
        for branch, point in zip(architecture.exits, skeleton.exit_stages, strict=True)
    )


def _branch_layer(layer: BranchLayer, *, channels: int, side: int, stride: int) -> tuple[ConvPlan, ...]:
    expanded = channels * layer.expansion
    out_channels = channels if LAYER_KINDS[layer.kind].expands else expanded
    return _convolutions(
        _Spatial(layer.kind, layer.kernel, stride),
        in_channels=channels,
        hidden=expanded,
        out_channels=out_channels,
        side=side,
    )
