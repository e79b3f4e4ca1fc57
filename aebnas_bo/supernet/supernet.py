"""The weight-sharing supernet: one set of weights for every network of a space."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from aebnas_bo.seeding import torch_generator
from aebnas_bo.space.architecture import Architecture, Skeleton
from aebnas_bo.space.declaration import NetworkSpaceDeclaration, StageChoices
from aebnas_bo.space.plan import BlockPlan, ConvPlan, NetworkPlan, SqueezePlan, network_plan, stem_plan
from aebnas_bo.supernet.blocks import ElasticBlock
from aebnas_bo.supernet.elastic_layers import ElasticClassifier, ElasticConvNorm, ElasticSqueeze, modules_of
from aebnas_bo.supernet.exit_branches import ElasticBranch
from aebnas_bo.supernet.subnet import Subnet, resize
from aebnas_bo.supernet.weight_sharing import Supervised, WeightSharing


class ElasticStage(nn.Module):
    """A stage of maximal depth; a shallower one uses its first blocks."""

    def __init__(
        self, in_channels: int, choices: StageChoices, *, is_squeezed: bool, generator: torch.Generator
    ) -> None:
        super().__init__()
        width = max(choices.widths)
        self.blocks = nn.ModuleList(
            ElasticBlock(width if position else in_channels, choices, is_squeezed=is_squeezed, generator=generator)
            for position in range(max(choices.depths))
        )

    def parts(self, plan: tuple[BlockPlan, ...]) -> Iterator[tuple[ElasticBlock, BlockPlan]]:
        """Yield each block in use with its plan."""
        yield from zip(modules_of(self.blocks, ElasticBlock), plan, strict=False)


class Supernet(WeightSharing):
    """All networks of a space in one set of weights; the architecture to run is an argument, never hidden state.

    Args:
        declaration: The space.
        skeleton: Its fixed part.
        seed: Seed of the initial weights.
    """

    def __init__(self, declaration: NetworkSpaceDeclaration, skeleton: Skeleton, seed: int) -> None:
        super().__init__(skeleton)
        generator = torch_generator(seed, "supernet", "weights")
        widths = [max(choices.widths) for choices in declaration.stages]
        num_classes, head_channels = skeleton.num_classes, skeleton.head_channels
        stem_channels = stem_plan(max(declaration.resolutions), widths[0], skeleton).out_channels
        self.stem = ElasticConvNorm(skeleton.in_channels, stem_channels, 3, is_depthwise=False, generator=generator)
        self.stages = nn.ModuleList(
            ElasticStage(channels, choices, is_squeezed=number in skeleton.squeezed_stages, generator=generator)
            for number, (channels, choices) in enumerate(
                zip([stem_channels, *widths], declaration.stages, strict=False)
            )
        )
        self.branches = nn.ModuleList(
            ElasticBranch(
                widths[choices.after_stage - 1], choices, num_outputs=skeleton.exit_outputs, generator=generator
            )
            for choices in declaration.exits
        )
        self.head = (
            ElasticConvNorm(widths[-1], head_channels, 1, is_depthwise=False, generator=generator)
            if head_channels
            else None
        )
        self.classifier = ElasticClassifier(head_channels or widths[-1], num_classes, generator)
        self.early_head: ElasticConvNorm | None = None  # those of networks without the last stage
        self.early_classifier: ElasticClassifier | None = None
        if 0 in declaration.stages[-1].depths:
            if head_channels:
                self.early_head = ElasticConvNorm(widths[-2], head_channels, 1, is_depthwise=False, generator=generator)
            self.early_classifier = ElasticClassifier(head_channels or widths[-2], num_classes, generator)

    def supervised(self, images: Tensor, architecture: Architecture) -> Supervised:
        """Run one network for training; `ElasticBranch` says where the backbone learns from other logits."""
        plan = network_plan(architecture, self.skeleton)
        activation, exit_stages = self.skeleton.activation, self.skeleton.exit_stages
        features = self.stem(resize(images, plan.resolution), plan.stem, activation)
        outputs, supervision = [], []
        for number, stage in enumerate(modules_of(self.stages, ElasticStage)):
            for block, block_plan in stage.parts(plan.stages[number]):
                features = block(features, block_plan, activation)
            for branch, branch_plan, exit_stage in zip(self.branches, plan.branches, exit_stages, strict=True):
                if branch_plan is not None and exit_stage == number:
                    logits, in_its_place = branch(features, branch_plan)
                    outputs.append(logits)
                    supervision.append(in_its_place)
        head, classifier = self._end(plan)
        if head is not None and plan.head is not None:
            features = head(features, plan.head, activation)
        return (*outputs, classifier(features)), tuple(supervision)

    def plain(self, architecture: Architecture) -> Subnet:
        """Return a network of plain modules with random weights."""
        return Subnet(architecture, self.skeleton)

    def _end(self, plan: NetworkPlan) -> tuple[ElasticConvNorm | None, ElasticClassifier]:
        """Return head and final classifier of a network."""
        if not plan.stages[-1] and self.early_classifier is not None:
            return self.early_head, self.early_classifier
        return self.head, self.classifier

    def parts(self, architecture: Architecture) -> Iterator[tuple[ElasticConvNorm, ConvPlan]]:
        """Yield every convolution a network uses with what to slice, in the order of `Subnet.conv_norms`."""
        plan = network_plan(architecture, self.skeleton)
        yield self.stem, plan.stem
        for stage, stage_plan in zip(modules_of(self.stages, ElasticStage), plan.stages, strict=True):
            for block, block_plan in stage.parts(stage_plan):
                yield from block.parts(block_plan)
        head, _ = self._end(plan)
        if head is not None and plan.head is not None:
            yield head, plan.head
        for branch, branch_plan in zip(modules_of(self.branches, ElasticBranch), plan.branches, strict=True):
            if branch_plan is not None:
                yield from branch.parts(branch_plan)

    def squeezes(self, architecture: Architecture) -> Iterator[tuple[ElasticSqueeze, SqueezePlan]]:
        """Yield every squeeze-and-excitation a network uses with what to slice, in the order of `Subnet.squeezes`."""
        plan = network_plan(architecture, self.skeleton)
        for stage, stage_plan in zip(modules_of(self.stages, ElasticStage), plan.stages, strict=True):
            for block, block_plan in stage.parts(stage_plan):
                squeeze = block.squeeze_of(block_plan)
                if squeeze is not None and block_plan.squeeze is not None:
                    yield squeeze, block_plan.squeeze

    def classifiers(self, architecture: Architecture) -> Iterator[ElasticClassifier]:
        """Yield the classifiers a network uses, in the order of `Subnet.classifiers`."""
        plan = network_plan(architecture, self.skeleton)
        yield self._end(plan)[1]
        for branch, branch_plan in zip(modules_of(self.branches, ElasticBranch), plan.branches, strict=True):
            if branch_plan is not None:
                yield branch.classifier_of(branch_plan)
