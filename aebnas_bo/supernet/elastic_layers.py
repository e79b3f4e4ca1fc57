"""Layers whose weights serve every smaller layer: slices of the first channels and the centre of the kernel.

Source: Once-for-All (Cai et al., ICLR 2020), section 3.3, with centre crops in place of kernel transforms, as
in AttentiveNAS (Wang et al., CVPR 2021).
"""

from __future__ import annotations

from typing import TypeVar, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from aebnas_bo.space.architecture import Activation
from aebnas_bo.space.plan import ConvPlan, SqueezePlan
from aebnas_bo.supernet.depthwise import depthwise_conv2d

BATCH_NORM_EPS = 1e-5  # torch.nn.BatchNorm2d's default, which the extracted network uses

ModuleT = TypeVar("ModuleT", bound=nn.Module)


def modules_of(modules: nn.Module, kind: type[ModuleT]) -> list[ModuleT]:
    """Return the members of a `ModuleList` with the type they have; torch declares them as mere modules."""
    del kind  # for the type checker alone
    return cast("list[ModuleT]", list(cast(nn.ModuleList, modules)))


def channels_last(weight: Tensor) -> Tensor:
    """Copy an `out x in x k x k` weight to channels_last strides, which its convolution hands on.

    A 1x1 or depthwise weight counts as contiguous in both formats, so `Tensor.to(memory_format=...)` would
    leave it as it is, and a network on grey images would run in the slower NCHW layout throughout.
    """
    return torch.empty_like(weight, memory_format=torch.channels_last).copy_(weight)


class ElasticConvNorm(nn.Module):
    """Convolution and BatchNorm of maximal size, used at any smaller one.

    BatchNorm always normalises by the batch: running statistics belong to one network, not to a supernet.

    Args:
        in_channels: Largest number of input channels.
        out_channels: Largest number of output channels.
        kernel: Largest kernel size.
        is_depthwise: Whether every channel has its own kernel; then both channel counts agree.
        generator: Source of the initial weights, which have the spread of PyTorch's own layers: BatchNorm takes their
            scale out, and a step of training turns small weights further than large ones.
    """

    def __init__(
        self, in_channels: int, out_channels: int, kernel: int, *, is_depthwise: bool, generator: torch.Generator
    ) -> None:
        super().__init__()
        shape = (out_channels, 1 if is_depthwise else in_channels, kernel, kernel)
        fan_in = kernel**2 * shape[1]
        weight = torch.randn(shape, generator=generator) * (3.0 * fan_in) ** -0.5
        self.kernel = kernel
        self.weight = nn.Parameter(channels_last(weight))
        self.scale = nn.Parameter(torch.ones(out_channels))
        self.shift = nn.Parameter(torch.zeros(out_channels))

    def sliced_weight(self, plan: ConvPlan) -> Tensor:
        """Return the part of the weight a convolution uses, `out x in x k x k` (a view)."""
        margin = (self.kernel - plan.kernel) // 2
        inputs = 1 if plan.is_depthwise else plan.in_channels
        end = self.kernel - margin
        return self.weight[: plan.out_channels, :inputs, margin:end, margin:end]

    def forward(self, features: Tensor, plan: ConvPlan, activation: Activation | None) -> Tensor:
        """Apply the convolution of a plan, BatchNorm over the batch, and the activation.

        Args:
            features: `B x in x H x W`.
            plan: Convolution to apply.
            activation: Activation function, or `None`.

        Returns:
            `B x out x H' x W'`.
        """
        weight = self.sliced_weight(plan)
        if plan.is_depthwise:
            output = depthwise_conv2d(features, weight, plan.stride)
        else:
            output = F.conv2d(features, weight, stride=plan.stride, padding=plan.kernel // 2)
        scale, shift = self.scale[: plan.out_channels], self.shift[: plan.out_channels]
        output = F.batch_norm(output, None, None, scale, shift, training=True, eps=BATCH_NORM_EPS)
        if activation is None:
            return output
        return F.relu(output, inplace=True) if activation == "relu" else F.hardswish(output, inplace=True)


class ElasticSqueeze(nn.Module):
    """Squeeze-and-excitation of maximal size; smaller ones use its first channels.

    Args:
        plan: The largest.
        generator: Source of the initial weights (He, fan-out); biases begin at zero.
    """

    def __init__(self, plan: SqueezePlan, generator: torch.Generator) -> None:
        super().__init__()
        shapes = (plan.squeezed, plan.channels), (plan.channels, plan.squeezed)
        reduce, restore = (torch.randn(*shape, 1, 1, generator=generator) * (2.0 / shape[0]) ** 0.5 for shape in shapes)
        self.reduce_weight = nn.Parameter(channels_last(reduce))
        self.reduce_bias = nn.Parameter(torch.zeros(plan.squeezed))
        self.restore_weight = nn.Parameter(channels_last(restore))
        self.restore_bias = nn.Parameter(torch.zeros(plan.channels))

    def sliced(self, plan: SqueezePlan) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return weight and bias of both convolutions as a plan has them (views)."""
        channels, squeezed = plan.channels, plan.squeezed
        return (
            self.reduce_weight[:squeezed, :channels],
            self.reduce_bias[:squeezed],
            self.restore_weight[:channels, :squeezed],
            self.restore_bias[:channels],
        )

    def forward(self, features: Tensor, plan: SqueezePlan) -> Tensor:
        """Weigh the maps of `B x C x H x W`."""
        reduce_weight, reduce_bias, restore_weight, restore_bias = self.sliced(plan)
        squeezed = F.relu(F.conv2d(F.adaptive_avg_pool2d(features, 1), reduce_weight, reduce_bias), inplace=True)
        return features * F.hardsigmoid(F.conv2d(squeezed, restore_weight, restore_bias), inplace=True)


class ElasticClassifier(nn.Module):
    """Global average pooling and a linear layer that reads the first channels.

    Args:
        channels: Largest number of input channels.
        num_outputs: Number of outputs, `O`.
        generator: Source of the initial weights.
    """

    def __init__(self, channels: int, num_outputs: int, generator: torch.Generator) -> None:
        super().__init__()
        # not the usual 0.01: on digits, 10 epochs, that left every exit several points behind
        self.weight = nn.Parameter(torch.randn(num_outputs, channels, generator=generator) * channels**-0.5)
        self.bias = nn.Parameter(torch.zeros(num_outputs))

    def forward(self, features: Tensor) -> Tensor:
        """Map `B x C x H x W` to `B x O`."""
        return F.linear(features.mean(dim=(2, 3)), self.weight[:, : features.shape[1]], self.bias)
