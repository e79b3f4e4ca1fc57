"""Confidence of an exit in its prediction: a number in [0, 1] per image."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from aebnas_bo.early_exit.settings import ConfidenceName


def confidence(logits: Tensor, name: ConfidenceName, num_classes: int) -> Tensor:
    """Return the confidence of each prediction.

    Args:
        logits: `... x K` scores, or `... x (K + 1)` with a learned confidence's logit behind them.
        name: `score_margin` is the largest minus the second largest softmax probability (AEBNAS, EDANAS);
            `max_softmax` the largest; `negative_entropy` 1 less the softmax's entropy as a share of the greatest
            possible (BranchyNet); `learned` the sigmoid of a logit of its own (NACHOS), and 1 where there is none, at
            the final classifier.
        num_classes: `K`.

    Returns:
        `...` values in [0, 1].
    """
    if name == "learned":
        has_own = logits.shape[-1] > num_classes
        return logits[..., num_classes].sigmoid() if has_own else torch.ones_like(logits[..., 0])
    probabilities = logits[..., :num_classes].softmax(dim=-1)
    if name == "negative_entropy":
        entropy = -torch.xlogy(probabilities, probabilities).sum(dim=-1)
        return (1.0 - entropy / math.log(num_classes)).clamp(0.0, 1.0)
    top_two = probabilities.topk(2, dim=-1).values
    return top_two[..., 0] - top_two[..., 1] if name == "score_margin" else top_two[..., 0]
