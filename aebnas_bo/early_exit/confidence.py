"""Confidence of an exit in its prediction: a number in [0, 1] per image."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from aebnas_bo.early_exit.settings import ConfidenceName


def confidence(logits: Tensor, name: ConfidenceName, num_classes: int) -> Tensor:
    """Return the confidence of each prediction.

    Args:
        logits: `... x K`, or `... x (K + 1)` with the logit of a learned confidence as the last column.
        name: `score_margin` is the largest minus the second largest softmax probability (AEBNAS, EDANAS);
            `max_softmax` the largest softmax probability; `negative_entropy` 1 minus the normalised entropy of the
            softmax (BranchyNet); `learned` the sigmoid of a separate logit (NACHOS), or 1 at the final classifier,
            which has none.
        num_classes: Number of classes, `K`.

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
