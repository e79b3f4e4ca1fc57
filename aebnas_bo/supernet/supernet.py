"""The weight-sharing supernet: one set of weights for every network of a space."""

from __future__ import annotations

from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from aebnas_bo.seeding import torch_generator
from aebnas_bo.space.architecture import Architecture, Skeleton
from aebnas_bo.space.declaration import BranchLayerChoices, ExitChoices, NetworkSpaceDeclaration, StageChoices
from aebnas_bo.space.plan import BlockPlan, BranchPlan, ConvPlan, network_plan
from aebnas_bo.supernet.elastic_layers import ElasticClassifier, ElasticConvNorm
from aebnas_bo.supernet.subnet import resize


class ElasticBlock(nn.Module):
    """An inverted residual block of maximal size."""

    def __init__(self, in_channels: int, choices: StageChoices, generator: torch.Generator) -> None:
        super().__init__()
        hidden = in_channels * max(choices.expansions)
        self.convolutions = _inverted_residual(
            in_channels, hidden, max(choices.widths), max(choices.kernels), generator
        )

    def parts(self, plan: BlockPlan) -> Iterator[tuple[ElasticConvNorm, ConvPlan]]:
        """Yield each convolution with what to slice from it."""
        yield from zip(_typed(self.convolutions), plan.convolutions, strict=True)


class ElasticBranch(nn.Module):
    """An exit branch of maximal size, with weights of its own for every kind of layer."""

    def __init__(self, channels: int, choices: ExitChoices, num_classes: int, generator: torch.Generator) -> None:
        super().__init__()
        self.layers = nn.ModuleList()
        widest = channels
        for options in choices.layers:
            self.layers.append(_branch_layer(channels, options, generator))
            grows = any(kind != "inverted_residual" for kind in options.kinds)
            channels *= max(options.expansions) if grows else 1
            widest = max(widest, channels)
        self.classifier = ElasticClassifier(widest, num_classes, generator)

    def parts(self, plan: BranchPlan) -> Iterator[tuple[ElasticConvNorm, ConvPlan]]:
        """Yield each convolution with what to slice from it."""
        for kinds, layer in zip(self.layers, plan.layers, strict=False):
            yield from zip(_typed(kinds[layer.layer.kind]), layer.convolutions, strict=True)

    def forward(self, features: Tensor, plan: BranchPlan) -> Tensor:
        """Return the `B x K` logits of the branch a plan describes."""
        parts = self.parts(plan)
        for layer in plan.layers:
            if layer.layer.upsample:
                features = F.interpolate(features, size=layer.layer.upsample, mode="bicubic", align_corners=False)
            for _ in layer.convolutions:
                convolution, conv_plan = next(parts)
                features = convolution(features, conv_plan, "relu")
            if layer.layer.pool:
                features = F.max_pool2d(features, 2)
        logits: Tensor = self.classifier(features)
        return logits


class Supernet(nn.Module):
    """Every network of a space in one set of weights; which one runs is an argument, never hidden state.

    Args:
        declaration: The space.
        skeleton: Its fixed part.
        seed: Seed of the initial weights.
    """

    def __init__(self, declaration: NetworkSpaceDeclaration, skeleton: Skeleton, seed: int) -> None:
        super().__init__()
        generator = torch_generator(seed, "supernet", "weights")
        self.skeleton = skeleton
        self.stem = ElasticConvNorm(skeleton.in_channels, skeleton.stem_channels, 3, False, generator)
        self.stages = nn.ModuleList()
        channels = skeleton.stem_channels
        widths = []
        for choices in declaration.stages:
            blocks = nn.ModuleList()
            for _ in range(max(choices.depths)):
                blocks.append(ElasticBlock(channels, choices, generator))
                channels = max(choices.widths)
            self.stages.append(blocks)
            widths.append(channels)
        self.branches = nn.ModuleList(
            ElasticBranch(widths[choices.after_stage - 1], choices, skeleton.num_classes, generator)
            for choices in declaration.exits
        )
        self.head = (
            ElasticConvNorm(channels, skeleton.head_channels, 1, False, generator) if skeleton.head_channels else None
        )
        self.classifier = ElasticClassifier(skeleton.head_channels or channels, skeleton.num_classes, generator)

    def forward(self, images: Tensor, architecture: Architecture) -> tuple[Tensor, ...]:
        """Run one network of the space on a batch, BatchNorm normalising by that batch.

        Args:
            images: `B x C x H x W`, normalised.
            architecture: Which network.

        Returns:
            `B x K` logits of each active exit in order, then of the final classifier.
        """
        plan = network_plan(architecture, self.skeleton)
        activation = self.skeleton.activation
        features = self.stem(resize(images, plan.resolution), plan.stem, activation)
        outputs = []
        for stage, block_plans in enumerate(plan.stages):
            for block, block_plan in zip(self.stages[stage], block_plans, strict=False):
                hidden = features
                for position, (convolution, conv_plan) in enumerate(block.parts(block_plan)):
                    hidden = convolution(hidden, conv_plan, activation if position < 2 else None)
                features = features + hidden if block_plan.has_residual else hidden
            for position, branch_plan in enumerate(plan.branches):
                if branch_plan is not None and self.skeleton.exit_stages[position] == stage:
                    outputs.append(self.branches[position](features, branch_plan))
        if self.head is not None and plan.head is not None:
            features = self.head(features, plan.head, activation)
        return (*outputs, self.classifier(features))

    def parts(self, architecture: Architecture) -> Iterator[tuple[ElasticConvNorm, ConvPlan]]:
        """Yield every convolution a network uses with what to slice, in the order of `Subnet.conv_norms`."""
        plan = network_plan(architecture, self.skeleton)
        yield self.stem, plan.stem
        for blocks, block_plans in zip(self.stages, plan.stages, strict=True):
            for block, block_plan in zip(blocks, block_plans, strict=False):
                yield from block.parts(block_plan)
        if self.head is not None and plan.head is not None:
            yield self.head, plan.head
        for branch, branch_plan in zip(self.branches, plan.branches, strict=True):
            if branch_plan is not None:
                yield from branch.parts(branch_plan)

    def classifiers(self, architecture: Architecture) -> Iterator[ElasticClassifier]:
        """Yield the classifiers a network uses, in the order of `Subnet.classifiers`."""
        yield self.classifier
        for position in architecture.active_exits:
            yield self.branches[position].classifier


def _typed(modules: nn.ModuleList) -> Iterator[ElasticConvNorm]:
    for module in modules:
        assert isinstance(module, ElasticConvNorm)
        yield module


def _inverted_residual(
    in_channels: int, hidden: int, out_channels: int, kernel: int, generator: torch.Generator
) -> nn.ModuleList:
    return nn.ModuleList(
        [
            ElasticConvNorm(in_channels, hidden, 1, False, generator),
            ElasticConvNorm(hidden, hidden, kernel, True, generator),
            ElasticConvNorm(hidden, out_channels, 1, False, generator),
        ]
    )


def _branch_layer(channels: int, options: BranchLayerChoices, generator: torch.Generator) -> nn.ModuleDict:
    kernel, expansion = max(options.kernels), max(options.expansions)
    layers: dict[str, nn.Module] = {}
    for kind in options.kinds:
        if kind == "dense":
            layers[kind] = nn.ModuleList(
                [ElasticConvNorm(channels, channels * expansion, kernel, False, generator)]
            )
        elif kind == "depthwise_separable":
            layers[kind] = nn.ModuleList(
                [
                    ElasticConvNorm(channels, channels, kernel, True, generator),
                    ElasticConvNorm(channels, channels * expansion, 1, False, generator),
                ]
            )
        else:
            layers[kind] = _inverted_residual(channels, channels * expansion, channels, kernel, generator)
    return nn.ModuleDict(layers)
