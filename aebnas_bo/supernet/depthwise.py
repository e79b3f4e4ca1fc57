"""Depthwise convolution whose training is fast on a CPU where maps are smaller than the kernel.

There, in the last stages of networks for small images, oneDNN (as of torch 2.15) falls back to a slow gradient of the
weights. The sums below are the same, and a training step of such a layer takes about a quarter of the time
(`benchmarks/depthwise_speed.py`); the forward pass and the gradient of the features are the library's.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import FunctionCtx, once_differentiable


def depthwise_conv2d(features: Tensor, weight: Tensor, stride: int) -> Tensor:
    """Convolve every channel with its own kernel, zeros around the map, as `torch.nn.functional.conv2d` does.

    Args:
        features: `B x C x H x W`.
        weight: `C x 1 x k x k`, `k` odd.
        stride: Step in both directions.

    Returns:
        `B x C x ceil(H / stride) x ceil(W / stride)`.
    """
    if _is_slow_in_library(features, weight):
        output: Tensor = _SmallMapConvolution.apply(features, weight, stride)
        return output
    return F.conv2d(features, weight, stride=stride, padding=weight.shape[-1] // 2, groups=weight.shape[0])


class DepthwiseConv2d(nn.Conv2d):
    """Depthwise convolution as a module; its parameters are `nn.Conv2d`'s.

    Args:
        channels: Channels, `C`.
        kernel: Size of the kernel, odd.
        stride: Step in both directions.
    """

    def __init__(self, channels: int, kernel: int, stride: int) -> None:
        super().__init__(channels, channels, kernel, stride, padding=kernel // 2, groups=channels, bias=False)

    def forward(self, features: Tensor) -> Tensor:
        """Map `B x C x H x W` to `B x C x H' x W'`."""
        if self.training:
            return depthwise_conv2d(features, self.weight, self.stride[0])
        return super().forward(features)  # as exported and compiled programs know it


def _is_slow_in_library(features: Tensor, weight: Tensor) -> bool:
    if features.device.type != "cpu" or min(features.shape[2:]) >= weight.shape[-1]:
        return False
    has_gradient = torch.is_grad_enabled() and weight.requires_grad
    return has_gradient and not torch.is_autocast_enabled("cpu")  # there the features are of another type


class _SmallMapConvolution(torch.autograd.Function):
    @staticmethod
    def forward(ctx: FunctionCtx, features: Tensor, weight: Tensor, stride: int) -> Tensor:
        ctx.save_for_backward(features, weight)
        ctx.stride = stride  # type: ignore[attr-defined]
        return F.conv2d(features, weight, stride=stride, padding=weight.shape[-1] // 2, groups=weight.shape[0])

    @staticmethod
    @once_differentiable
    def backward(ctx: FunctionCtx, gradient: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        features, weight = ctx.saved_tensors  # type: ignore[attr-defined]
        stride, kernel = ctx.stride, weight.shape[-1]  # type: ignore[attr-defined]
        of_features = of_weight = None
        if ctx.needs_input_grad[0]:  # type: ignore[attr-defined]
            [of_features, _, _] = torch.ops.aten.convolution_backward(
                gradient, features, weight, None, (stride, stride), (kernel // 2, kernel // 2), (1, 1), False, (0, 0),
                weight.shape[0], (True, False, False),
            )  # fmt: skip
        if ctx.needs_input_grad[1]:  # type: ignore[attr-defined]
            rows, columns = (
                _taps(features.shape[axis], gradient.shape[axis], kernel, stride=stride, dtype=gradient.dtype)
                for axis in (2, 3)
            )
            of_weight = torch.einsum("bcyx,bchw,yhi,xwj->cij", gradient, features, rows, columns).unsqueeze(1)
        return of_features, of_weight, None


def _taps(size: int, out: int, kernel: int, *, stride: int, dtype: torch.dtype) -> Tensor:
    """Return `out x size x kernel` ones where an output reads an input through that element of the kernel."""
    element = torch.arange(size) - stride * torch.arange(out)[:, None] + kernel // 2
    return (element[..., None] == torch.arange(kernel)).to(dtype)
