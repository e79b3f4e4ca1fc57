"""Exit branches of the supernet."""

from __future__ import annotations

from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from aebnas_bo.space.block_and_layer_kinds import LAYER_KINDS, LayerKind
from aebnas_bo.space.declaration import BranchLayerChoices, ExitChoices
from aebnas_bo.space.plan import BranchLayerPlan, BranchPlan, ConvPlan
from aebnas_bo.supernet.blocks import LayerSizes, convolutions_of
from aebnas_bo.supernet.elastic_layers import ElasticClassifier, ElasticConvNorm, modules_of


class ElasticBranchLayer(nn.Module):
    """A branch layer of maximal size with separate weights for each kind.

    Args:
        channels: Largest number of input channels.
        choices: Choices of the branch.
        generator: Source of the initial weights.
    """

    def __init__(self, channels: int, choices: BranchLayerChoices, generator: torch.Generator) -> None:
        super().__init__()
        self.kinds = nn.ModuleDict(
            {kind: convolutions_of(kind, self._sizes(kind, channels, choices), generator) for kind in choices.kinds}
        )

    @staticmethod
    def _sizes(kind: LayerKind, channels: int, choices: BranchLayerChoices) -> LayerSizes:
        expanded = channels * max(choices.expansions)
        outputs = channels if LAYER_KINDS[kind].expands else expanded
        return LayerSizes(channels, expanded, outputs, max(choices.kernels))

    def parts(self, plan: BranchLayerPlan) -> Iterator[tuple[ElasticConvNorm, ConvPlan]]:
        """Yield each convolution of the plan's kind with what to slice from it."""
        convolutions = modules_of(self.kinds[plan.layer.kind], ElasticConvNorm)
        yield from zip(convolutions, plan.convolutions, strict=True)

    def forward(self, features: Tensor, plan: BranchLayerPlan) -> Tensor:
        """Map `B x C x H x W` to `B x C' x H' x W'`."""
        if plan.layer.upsample:
            features = F.interpolate(features, size=plan.layer.upsample, mode="bicubic", align_corners=False)
        for convolution, conv_plan in self.parts(plan):
            features = convolution(features, conv_plan, "relu")
        return F.max_pool2d(features, 2) if plan.layer.pool else features


class ElasticBranch(nn.Module):
    """An exit branch of maximal size.

    Branches that differ from step to step would pull the backbone in as many directions. Where there is a choice, all
    branches with layers therefore learn from what the backbone gives without changing it, and the bare classifier, a
    branch without layers, trains the backbone in every step, whichever branch was drawn (deep supervision). A branch
    that is the exit's only one trains the backbone itself.

    Source of classifiers that train what is below them: Deeply-Supervised Nets (Lee et al., AISTATS 2015), section 2.

    Args:
        channels: Largest number of channels of the stage before it.
        choices: Choices of the branch.
        num_outputs: Outputs of its classifier: the `K` classes, and the confidence's logit if it has one.
        generator: Source of the initial weights.
        is_below_frozen: Whether the backbone is not trained, so that every branch trains all that it reads.
    """

    def __init__(
        self,
        channels: int,
        choices: ExitChoices,
        *,
        num_outputs: int,
        generator: torch.Generator,
        is_below_frozen: bool = False,
    ) -> None:
        super().__init__()
        self.has_choice = not choices.has_one_branch
        self.is_below_frozen = is_below_frozen
        self.layers = nn.ModuleList()
        stage_channels = channels
        for options in choices.layers:
            self.layers.append(ElasticBranchLayer(channels, options, generator))
            keeps_channels = all(LAYER_KINDS[kind].expands for kind in options.kinds)
            channels *= 1 if keeps_channels else max(options.expansions)
        if self.layers:
            # channels never shrink on the way, so the last count serves branches of any depth
            self.classifier = ElasticClassifier(channels, num_outputs, generator)
        if self.has_choice or not self.layers:
            self.bare_classifier = ElasticClassifier(stage_channels, num_outputs, generator)

    def parts(self, plan: BranchPlan) -> Iterator[tuple[ElasticConvNorm, ConvPlan]]:
        """Yield each convolution with what to slice from it."""
        for layer, layer_plan in zip(modules_of(self.layers, ElasticBranchLayer), plan.layers, strict=False):
            yield from layer.parts(layer_plan)

    def classifier_of(self, plan: BranchPlan) -> ElasticClassifier:
        """Return the classifier a branch ends in."""
        return self.classifier if plan.layers else self.bare_classifier

    def forward(self, features: Tensor, plan: BranchPlan) -> tuple[Tensor, Tensor | None]:
        """Return the logits of the branch of a plan, and those of the auxiliary head that trains the backbone.

        Args:
            features: Output of the stage, `B x C x H x W`.
            plan: The branch.

        Returns:
            `B x num_outputs` each; the second is `None` where the branch itself trains the backbone.
        """
        supervision: Tensor | None = None
        if self.has_choice and plan.layers and not self.is_below_frozen:
            supervision = self.bare_classifier(features)
            features = features.detach()
        for layer, layer_plan in zip(self.layers, plan.layers, strict=False):  # the first layers are shared
            features = layer(features, layer_plan)
        return self.classifier_of(plan)(features), supervision
