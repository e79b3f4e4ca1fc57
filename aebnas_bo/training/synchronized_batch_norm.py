"""BatchNorm by the mean and variance of a whole batch that several processes share.

`torch.nn.SyncBatchNorm` runs on CUDA only, and replaces modules that the elastic layers of a supernet do not have.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode


class Synchronized(nn.Module):
    """A module in whose forward pass BatchNorm normalises by the moments of the batches of all processes.

    Every process must call it equally often, with batches of equal size. Running statistics are not updated; trainings
    compute them at their end.

    Args:
        module: The module.
        count: Number of processes.
    """

    def __init__(self, module: nn.Module, count: int) -> None:
        super().__init__()
        self.module = module
        self._count = count

    def forward(self, *inputs: object) -> object:
        """Call the module."""
        with _SynchronizedMode(self._count):
            return self.module(*inputs)


class _SynchronizedMode(TorchFunctionMode):
    """Context in which `torch.nn.functional.batch_norm` in training normalises over all processes."""

    def __init__(self, count: int) -> None:
        super().__init__()
        self._count = count

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        options = {} if kwargs is None else dict(kwargs)
        if func is not F.batch_norm or not options.get("training"):
            return func(*args, **options)
        features = args[0]
        scale = features.new_ones(features.shape[1]) if options["weight"] is None else options["weight"]
        shift = features.new_zeros(features.shape[1]) if options["bias"] is None else options["bias"]
        return synchronized_batch_norm(features, scale, shift, eps=options["eps"], count=self._count)


def synchronized_batch_norm(features: Tensor, scale: Tensor, shift: Tensor, *, eps: float, count: int) -> Tensor:
    """Normalise the channels of a batch that is shared by several processes, as one process would the whole batch.

    Gradients of `features` include those that come through the moments from other processes. Those of `scale` and
    `shift` are of this process's part, as of all weights; their average over the processes belongs to the average loss.

    Args:
        features: This process's part, `B x C x H x W`, of equal size in every process.
        scale: `C`.
        shift: `C`.
        eps: Added to the variance.
        count: Number of processes.
    """
    return cast(Tensor, _Normalize.apply(features, scale, shift, eps, count))


class _Normalize(torch.autograd.Function):
    """Source of the backward pass: Ioffe and Szegedy, Batch Normalization (ICML 2015), section 3."""

    @staticmethod
    def forward(ctx: Any, features: Tensor, scale: Tensor, shift: Tensor, eps: float, count: int) -> Tensor:
        mean, variance = _moments(features, count)
        ctx.save_for_backward(features, scale, mean, variance)
        ctx.eps, ctx.count = eps, count
        return F.batch_norm(features, mean, variance, scale, shift, training=False, eps=eps)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor, Tensor, None, None]:
        features, scale, mean, variance = ctx.saved_tensors
        gradient = gradients[0].float()
        over, shape = _other_dimensions(features), (1, -1) + (1,) * (features.ndim - 2)
        per_std = (variance + ctx.eps).rsqrt()
        normalized = (features.float() - mean.view(shape)) * per_std.view(shape)
        own = torch.stack([gradient.sum(over), (gradient * normalized).sum(over)])
        totals = own.clone()
        dist.all_reduce(totals)
        totals /= ctx.count * features.numel() // features.shape[1]
        of_mean, of_spread = totals.view(2, *shape)
        into = (scale * per_std).view(shape) * (gradient - of_mean - normalized * of_spread)
        return into.to(features.dtype), own[1], own[0], None, None


def _moments(features: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Return mean and variance of every channel over all processes, in float32."""
    variance, mean = torch.var_mean(features.float(), _other_dimensions(features), correction=0)
    own = torch.stack([mean, variance])
    gathered = [torch.empty_like(own) for _ in range(count)]
    dist.all_gather(gathered, own)
    means, variances = torch.stack(gathered).unbind(1)
    total = means.mean(0)
    # not the mean of squares minus the square of the mean, which cancel
    return total, (variances + (means - total).square()).mean(0)


def _other_dimensions(features: Tensor) -> list[int]:
    """Return all dimensions but that of the channels."""
    return [dimension for dimension in range(features.ndim) if dimension != 1]
