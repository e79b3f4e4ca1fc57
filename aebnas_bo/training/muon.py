"""Muon: gradient steps of nearly equal length in all directions of a weight matrix.

Source: Jordan et al. 2024, "Muon: An optimizer for hidden layers in neural networks", and their code for CIFAR-10,
which also keeps the norm of the weights. Unlike there, the first convolution is trained by Muon too.

`torch.optim.Muon` takes only matrices, does not keep norms, and computes in bfloat16, which is slow on CPUs without
instructions for it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn

# Of the polynomial that moves all singular values to about 1 (Jordan et al. 2024).
LINEAR, CUBIC, QUINTIC = 3.4445, -4.775, 2.0315
ITERATIONS = 5
TINY = 1e-12


class Muon(torch.optim.Optimizer):
    """Move weights by orthogonalised Nesterov momentum; for weights of convolutions followed by BatchNorm.

    A weight is a matrix with a row per output channel. BatchNorm cancels its scale. Every step therefore first sets its
    norm to the square root of the number of output channels, so that the learning rate determines how far a step turns
    it. Weights need no weight decay.

    Args:
        weights: `out x in x k x k` weights, or groups of them.
        lr: Learning rate: approximate length of a step in each direction.
        momentum: Nesterov momentum.
    """

    def __init__(self, weights: Iterable[nn.Parameter] | Iterable[dict[str, Any]], lr: float, momentum: float) -> None:
        super().__init__(weights, {"lr": lr, "momentum": momentum})

    @torch.no_grad()
    def step(self) -> None:  # type: ignore[override]
        """Make a step; weights without a gradient stay."""
        for group in self.param_groups:
            for weight in group["params"]:
                if weight.grad is not None:
                    self._turn(weight, weight.grad, rate=group["lr"], momentum=group["momentum"])

    def _turn(self, weight: Tensor, gradient: Tensor, *, rate: float, momentum: float) -> None:
        state = self.state[weight]
        if "momentum_buffer" not in state:
            state["momentum_buffer"] = torch.zeros_like(weight)
        buffer = state["momentum_buffer"].mul_(momentum).add_(gradient)
        step = orthogonal(gradient.add(buffer, alpha=momentum).flatten(1)).reshape(weight.shape)
        weight.mul_(math.sqrt(len(weight)) / weight.norm().clamp(min=TINY)).sub_(step, alpha=rate)


def orthogonal(matrix: Tensor) -> Tensor:
    """Return approximately the nearest matrix with orthonormal rows or columns: singular values are 0.68 to 1.2.

    Args:
        matrix: `m x n`. Singular values below about a thousandth of its norm become smaller than 0.5; zeros stay zeros.
    """
    is_tall = matrix.shape[0] > matrix.shape[1]
    result = matrix.T if is_tall else matrix
    result = result / result.norm().clamp(min=TINY)
    for _ in range(ITERATIONS):
        gram = result @ result.T
        result = torch.addmm(result, torch.addmm(gram, gram, gram, beta=CUBIC, alpha=QUINTIC), result, beta=LINEAR)
    return result.T if is_tall else result
