"""How sure an exit is of its prediction: a number in [0, 1] per image."""

from __future__ import annotations

from typing import Literal

from torch import Tensor

ConfidenceName = Literal["score_margin", "max_softmax"]


def confidence(logits: Tensor, name: ConfidenceName) -> Tensor:
    """Return the confidence of each prediction.

    Args:
        logits: `... x K` scores.
        name: `score_margin` is the largest minus the second largest softmax probability (AEBNAS, EDANAS);
            `max_softmax` the largest.

    Returns:
        `...` values in [0, 1].
    """
    top_two = logits.softmax(dim=-1).topk(2, dim=-1).values
    return top_two[..., 0] - top_two[..., 1] if name == "score_margin" else top_two[..., 0]
