"""A plain early-exit network: ordinary PyTorch modules, built from an architecture alone."""

from __future__ import annotations

from collections.abc import Iterator
from typing import cast

import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.ops import SqueezeExcitation

from aebnas_bo.space.architecture import Activation, Architecture, Skeleton
from aebnas_bo.space.plan import (
    BlockPlan,
    BranchLayerPlan,
    BranchPlan,
    ConvPlan,
    NetworkPlan,
    branch_plans,
    network_plan,
)
from aebnas_bo.supernet.depthwise import DepthwiseConv2d
from aebnas_bo.supernet.point_reader import PointReader


def activation_module(name: Activation) -> nn.Module:
    """Return the backbone's non-linearity as a module."""
    return nn.ReLU(inplace=True) if name == "relu" else nn.Hardswish(inplace=True)


class ConvNorm(nn.Sequential):
    """Convolution, BatchNorm and an optional non-linearity."""

    def __init__(self, plan: ConvPlan, activation: nn.Module | None) -> None:
        inputs, outputs, kernel, stride = plan.in_channels, plan.out_channels, plan.kernel, plan.stride
        convolution = (
            DepthwiseConv2d(outputs, kernel, stride)
            if plan.is_depthwise
            else nn.Conv2d(inputs, outputs, kernel, stride, padding=kernel // 2, bias=False)
        )
        modules: list[nn.Module] = [convolution, nn.BatchNorm2d(plan.out_channels)]
        super().__init__(*modules, *([activation] if activation is not None else []))

    @property
    def convolution(self) -> nn.Conv2d:
        """The convolution."""
        return cast(nn.Conv2d, self[0])

    @property
    def norm(self) -> nn.BatchNorm2d:
        """Its BatchNorm."""
        return cast(nn.BatchNorm2d, self[1])


class BackboneBlock(nn.Module):
    """One block of the backbone, of the kind its plan says.

    Source of squeeze-and-excitation in a block: MobileNetV3 (Howard et al. 2019), figure 4.
    """

    def __init__(self, plan: BlockPlan, activation: Activation) -> None:
        super().__init__()
        self.has_residual = plan.has_residual
        layers: list[nn.Module] = []
        for convolution, is_linear in zip(plan.convolutions, plan.are_linear, strict=True):
            layers.append(ConvNorm(convolution, None if is_linear else activation_module(activation)))
            if plan.squeeze is not None and convolution.is_depthwise:
                layers.append(
                    SqueezeExcitation(plan.squeeze.channels, plan.squeeze.squeezed, scale_activation=nn.Hardsigmoid)
                )
        self.layers = nn.Sequential(*layers)

    def forward(self, features: Tensor) -> Tensor:
        """Map `B x C x H x W` to `B x C' x H' x W'`."""
        output: Tensor = self.layers(features)
        return features + output if self.has_residual else output


class BranchLayerModule(nn.Module):
    """One layer of an exit branch; see `BranchLayer`."""

    def __init__(self, plan: BranchLayerPlan) -> None:
        super().__init__()
        self.upsample = plan.layer.upsample
        self.pool = plan.layer.pool
        self.layers = nn.Sequential(*(ConvNorm(conv, nn.ReLU(inplace=True)) for conv in plan.convolutions))

    def forward(self, features: Tensor) -> Tensor:
        """Map `B x C x H x W` to `B x C' x H' x W'`."""
        if self.upsample:
            features = F.interpolate(features, size=self.upsample, mode="bicubic", align_corners=False)
        features = self.layers(features)
        return F.max_pool2d(features, 2) if self.pool else features


class PooledClassifier(nn.Module):
    """Global average pooling and a linear layer."""

    def __init__(self, channels: int, num_outputs: int) -> None:
        super().__init__()
        self.linear = nn.Linear(channels, num_outputs)

    def forward(self, features: Tensor) -> Tensor:
        """Map `B x C x H x W` to `B x num_outputs`."""
        logits: Tensor = self.linear(features.mean(dim=(2, 3)))
        return logits


class Branch(nn.Sequential):
    """An exit branch: its layers, then a pooled classifier; on a given backbone it reads a point first."""

    def __init__(self, plan: BranchPlan, num_outputs: int) -> None:
        super().__init__(
            *([PointReader(plan.reader)] if plan.reader is not None else []),
            *(BranchLayerModule(layer) for layer in plan.layers),
            PooledClassifier(plan.classifier_channels, num_outputs),
        )


class Subnet(nn.Module):
    """An early-exit network with its own weights; on a given backbone only its branches (`given_subnet.py`).

    Args:
        architecture: Architecture of the network.
        skeleton: The fixed part of its space.
    """

    def __init__(self, architecture: Architecture, skeleton: Skeleton) -> None:
        super().__init__()
        self.architecture, self.skeleton = architecture, skeleton
        self.resolution = architecture.resolution
        self.stem: nn.Module = nn.Identity()
        self.stages = nn.ModuleList()
        if skeleton.given is None:
            plan = network_plan(architecture, skeleton)
            self.stem = ConvNorm(plan.stem, activation_module(skeleton.activation))
            self.stages = nn.ModuleList(
                nn.Sequential(*(BackboneBlock(block, skeleton.activation) for block in blocks))
                for blocks in plan.stages
            )
        self.branches = nn.ModuleDict(
            {
                str(skeleton.exit_stages[position]): Branch(branch, skeleton.exit_outputs)
                for position, branch in enumerate(branch_plans(architecture, skeleton))
                if branch is not None
            }
        )
        self.head = nn.Sequential()
        if skeleton.given is None:
            self.head = _head(plan, skeleton)

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """Return the logits of every output.

        Args:
            images: `B x C x H x W`, normalised; resized here to the network's own resolution.

        Returns:
            `B x K` logits of each active exit in order, then of the final classifier; those of exits with a learned
            confidence have its logit as one more column.
        """
        features = self.stem(resize(images, self.resolution))
        outputs = []
        for position, stage in enumerate(self.stages):
            features = stage(features)
            if str(position) in self.branches:
                outputs.append(self.branches[str(position)](features))
        return (*outputs, self.head(features))

    def conv_norms(self) -> Iterator[ConvNorm]:
        """Yield convolutions with their BatchNorm: stem, backbone, head, then branch after branch."""
        for root in (self.stem, self.stages, self.head, self.branches):
            yield from (module for module in root.modules() if isinstance(module, ConvNorm))

    def readers(self) -> Iterator[PointReader]:
        """Yield the readers of the branches on a given backbone in order."""
        yield from (module for module in self.branches.modules() if isinstance(module, PointReader))

    def squeezes(self) -> Iterator[SqueezeExcitation]:
        """Yield every squeeze-and-excitation of the backbone in order."""
        yield from (module for module in self.stages.modules() if isinstance(module, SqueezeExcitation))

    def classifiers(self) -> Iterator[nn.Linear]:
        """Yield the final linear layer, then those of the branches in order."""
        for root in (self.head, self.branches):
            yield from (module for module in root.modules() if isinstance(module, nn.Linear))


def _head(plan: NetworkPlan, skeleton: Skeleton) -> nn.Sequential:
    head = [ConvNorm(plan.head, activation_module(skeleton.activation))] if plan.head else []
    return nn.Sequential(*head, PooledClassifier(plan.classifier_channels, skeleton.num_classes))


def resize(images: Tensor, resolution: int) -> Tensor:
    """Resize `B x C x H x W` images to `resolution` pixels a side (bilinear, antialiased), if they differ."""
    if images.shape[-1] == resolution and images.shape[-2] == resolution:
        return images
    return F.interpolate(images, size=(resolution, resolution), mode="bilinear", antialias=True, align_corners=False)
