"""Losses of networks with several outputs.

Legend: `B` images, `K` classes, `E` outputs (active exits in order, then the final classifier).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from aebnas_bo.space.architecture import Architecture


def output_weights(architecture: Architecture, weights: Sequence[float] | None) -> tuple[float, ...]:
    """Return the loss weight of each output of a network; their mean is 1, so that no exit slows the others.

    Args:
        architecture: The network.
        weights: One weight per exit position of the space, then the final classifier's; `None` for equal weights.
    """
    given = weights or (1.0,) * (len(architecture.exits) + 1)
    chosen = [*(given[position] for position in architecture.active_exits), given[-1]]
    mean = sum(chosen) / len(chosen)
    return tuple(weight / mean for weight in chosen) if mean > 0 else (0.0,) * len(chosen)


def exit_loss(
    outputs: Sequence[Tensor],
    targets: Sequence[Tensor],
    weights: Sequence[float],
    *,
    label_smoothing: float,
    image_weights: Tensor | None = None,
) -> Tensor:
    """Return the weighted cross-entropy over all outputs of a network.

    Args:
        outputs: `B x K` logits of each of the `E` outputs.
        targets: For each output `B` labels (which are smoothed) or `B x K` probabilities (which are not).
        weights: `E` weights.
        label_smoothing: Share of the labels' weight spread over all classes.
        image_weights: `B` weights of the images; `None` weighs them alike.

    Returns:
        A scalar; 0 if no output has a weight.
    """
    losses = [
        weight * _cross_entropy(logits.float(), target, label_smoothing=label_smoothing, image_weights=image_weights)
        for logits, target, weight in zip(outputs, targets, weights, strict=True)
        if weight > 0
    ]
    return torch.stack(losses).sum() if losses else torch.zeros(())


def _cross_entropy(logits: Tensor, target: Tensor, *, label_smoothing: float, image_weights: Tensor | None) -> Tensor:
    smoothing = 0.0 if target.ndim > 1 else label_smoothing
    if image_weights is None:
        return F.cross_entropy(logits, target, label_smoothing=smoothing)
    return (F.cross_entropy(logits, target, label_smoothing=smoothing, reduction="none") * image_weights).mean()


def balanced_weights(labels: Tensor, num_classes: int) -> Tensor:
    """Return the weight of each class, `K`, by which all classes count alike; the mean over the images is 1.

    Args:
        labels: Classes of all training images, `N`.
        num_classes: `K`.
    """
    counts = torch.bincount(labels, minlength=num_classes).clamp_min(1)
    return len(labels) / (num_classes * counts.float())


def weights_of_images(labels: Tensor, class_weights: Tensor) -> Tensor:
    """Return the weight of each image, `B`.

    Args:
        labels: `B` labels, or `B x K` probabilities.
        class_weights: `K` weights.
    """
    return class_weights[labels] if labels.ndim == 1 else labels.float() @ class_weights


def smoothed(labels: Tensor, num_classes: int, label_smoothing: float) -> Tensor:
    """Return labels as `B x K` smoothed probabilities.

    Args:
        labels: `B` labels.
        num_classes: `K`.
        label_smoothing: Share of the weight spread over all classes.
    """
    ones = torch.zeros(len(labels), num_classes, device=labels.device)  # `one_hot` reads the labels to check them
    return ones.scatter_(1, labels[:, None], 1.0) * (1.0 - label_smoothing) + label_smoothing / num_classes


def soft_labels(logits: Tensor) -> Tensor:
    """Return a teacher's probabilities, `B x K`, without gradient (Hinton et al. 2015, at temperature 1)."""
    return logits.detach().float().softmax(dim=-1)


def mixed_targets(targets: Tensor, taught: Tensor, label_smoothing: float) -> Tensor:
    """Return the mean of smoothed labels and a teacher's probabilities, `B x K` or `B x V x K` like these.

    Args:
        targets: `B` labels (which are smoothed) or `B x K` probabilities (which are not).
        taught: The teacher's probabilities, `B x K`, or `B x V x K` for `V` views of each image.
        label_smoothing: Smoothing of labels.
    """
    given = smoothed(targets, taught.shape[-1], label_smoothing) if targets.ndim == 1 else targets
    return 0.5 * ((given if taught.ndim == 2 else given[:, None]) + taught)


def output_targets(
    outputs: Sequence[Tensor], targets: Tensor, *, has_exit_distillation: bool, label_smoothing: float
) -> list[Tensor]:
    """Return the targets of each output of a network.

    Args:
        outputs: `B x K` logits of each of the `E` outputs.
        targets: `B` labels or `B x K` probabilities.
        has_exit_distillation: Whether targets of early exits are averaged with the outputs of the final exit.
        label_smoothing: Smoothing of labels.
    """
    if not has_exit_distillation:
        return [targets] * len(outputs)
    early = mixed_targets(targets, soft_labels(outputs[-1]), label_smoothing)
    return [*([early] * (len(outputs) - 1)), targets]
