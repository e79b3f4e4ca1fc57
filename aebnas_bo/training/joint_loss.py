r"""Joint training of classes and learned confidences, with a penalty on expected MACs (NACHOS).

With :math:`h_i` the confidence of exit :math:`i`, an image leaves at output :math:`i` with probability

.. math::
    g_i = h_i \prod_{j < i} (1 - h_j), \qquad h_{\text{last}} = 1.

The loss is a weighted sum of four terms: the cross-entropy of all outputs, weighted per image by :math:`g`; the
cross-entropy between confidence and correctness of each exit; the expected cost above a budget; and the distance of
confidences from the per-class accuracy of each exit.

Legend: `B` images, `K` classes, `E` outputs (active exits in order, then the final classifier).

References:
    M. Gambella, J. Pomponi, S. Scardapane, M. Roveri. NACHOS: Neural Architecture Search for Hardware Constrained
    Early Exit Neural Networks. arXiv 2401.13330, 2024, section on training. There the cost term carries no gradient
    in the published code; here every term does.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from aebnas_bo.data.transforms import on_device
from aebnas_bo.errors import ConfigError
from aebnas_bo.space.macs import MACS_PER_MILLION
from aebnas_bo.training.settings import JointLossConfig


@dataclass(frozen=True)
class JointTerms:
    """Terms of the joint loss before weighting, each a scalar.

    Args:
        classes: Expected cross-entropy at the output where an image leaves.
        confidence: Cross-entropy between confidence and correctness, summed over the exits.
        cost: Expected MACs above the budget, as a fraction of the maximum MACs.
        peak: Squared distance of confidences from the exits' accuracies on the image's class, summed over the exits.
    """

    classes: Tensor
    confidence: Tensor
    cost: Tensor
    peak: Tensor


@dataclass(frozen=True)
class Targets:
    """Targets of the outputs for a batch.

    Args:
        taught: Targets of the outputs: `B` labels (which are smoothed) or `B x K` probabilities (which are not),
            such as a teacher's.
        labels: True classes, `B`, or `B x K` probabilities of mixed images, whose likeliest class counts as true.
        weights: Weight of the classes' loss of each image, `B`; `None` weighs them alike.
    """

    taught: Tensor
    labels: Tensor
    weights: Tensor | None = None


def leaving_probabilities(confidence: Tensor) -> Tensor:
    """Return the probability that an image leaves at each output, `E x B`, from confidences `(E - 1) x B`."""
    ones = torch.ones_like(confidence[:1]) if len(confidence) else confidence.new_ones(1, confidence.shape[1])
    going_on = torch.cat([ones, (1.0 - confidence).cumprod(dim=0)])
    return going_on * torch.cat([confidence, ones])


def joint_terms(
    outputs: Sequence[Tensor],
    targets: Targets,
    *,
    macs: Sequence[int],
    max_macs: float,
    support_accuracy: Tensor | None,
    label_smoothing: float = 0.0,
) -> JointTerms:
    """Compute the terms of the joint loss.

    Args:
        outputs: `B x (K + 1)` logits of each exit, the last column that of its confidence; `B x K` of the final
            classifier.
        targets: Training targets and true classes.
        macs: Cost of leaving at each of the `E` outputs.
        max_macs: Budget of the expected cost.
        support_accuracy: Accuracy of each exit on the images of each class, `K x (E - 1)`, on images held out of
            training; `None` leaves the peak term at 0.
        label_smoothing: Label smoothing.
    """
    num_classes = outputs[-1].shape[-1]
    kind = torch.promote_types(outputs[-1].dtype, torch.float32)
    classes = torch.stack([output[:, :num_classes] for output in outputs]).to(kind)  # E x B x K
    logits = torch.stack([o[:, num_classes] for o in outputs[:-1]]).to(kind) if len(outputs) > 1 else classes[:0, :, 0]
    sure = logits.sigmoid()
    leaving = leaving_probabilities(sure)
    taught, labels = targets.taught, targets.labels
    smoothing = 0.0 if taught.ndim > 1 else label_smoothing
    losses = torch.stack([F.cross_entropy(c, taught, label_smoothing=smoothing, reduction="none") for c in classes])
    if targets.weights is not None:
        losses = losses * targets.weights
    labels = labels if labels.ndim == 1 else labels.argmax(dim=-1)
    is_right = (classes[:-1].argmax(dim=-1) == labels).to(logits)
    cost = classes.new_zeros(())
    if macs[-1] > max_macs:
        expected = (leaving * on_device(torch.tensor(macs), leaving.device).to(leaving)[:, None]).sum(dim=0).mean()
        cost = (expected - max_macs).clamp_min(0.0) / (macs[-1] - max_macs)
    peak = classes.new_zeros(())
    if support_accuracy is not None:
        peak = (support_accuracy.to(sure)[labels].T - sure).square().sum(dim=0).mean()
    return JointTerms(
        classes=(leaving * losses).sum(dim=0).mean(),
        confidence=F.binary_cross_entropy_with_logits(logits, is_right, reduction="none").sum(dim=0).mean(),
        cost=cost,
        peak=peak,
    )


def joint_loss(
    outputs: Sequence[Tensor],
    targets: Targets,
    *,
    macs: Sequence[int],
    support_accuracy: Tensor | None,
    config: JointLossConfig,
    label_smoothing: float,
) -> Tensor:
    """Return the weighted sum of the terms, a scalar; see `joint_terms`.

    Raises:
        ConfigError: If the cost term has no budget.
    """
    if config.max_macs is None and config.cost_weight > 0:
        raise ConfigError("joint_loss.max_macs: the cost term needs a budget of average MACs in millions")
    max_macs = (config.max_macs or math.inf) * MACS_PER_MILLION
    terms = joint_terms(
        outputs, targets, macs=macs, max_macs=max_macs, support_accuracy=support_accuracy,
        label_smoothing=label_smoothing,
    )  # fmt: skip
    weighed = config.class_weight * terms.classes + terms.confidence
    return weighed + config.cost_weight * terms.cost + config.peak_weight * terms.peak


@torch.no_grad()
def support_accuracy(
    networks: Sequence[Callable[[Tensor], Sequence[Tensor]]], images: Tensor, labels: Tensor, *, batch_size: int
) -> Tensor:
    """Return the accuracy of each exit on each class, averaged over networks with equally many exits.

    Args:
        networks: Functions from images to the outputs of the exits and of the final classifier.
        images: Normalised images held out of training, `N x C x H x W`.
        labels: Class of each image, `N`.
        batch_size: Maximum images per forward pass; batch sizes differ by at most one image.

    Returns:
        A `K x (E - 1)` tensor.
    """
    found, batches = [], images.tensor_split(-(-len(images) // batch_size))
    for network in networks:
        outputs = [torch.cat(parts) for parts in zip(*map(network, batches), strict=True)]
        num_classes = outputs[-1].shape[-1]
        member = F.one_hot(labels, num_classes).double()  # N x K
        hits = [(output[:, :num_classes].argmax(dim=-1) == labels).double() for output in outputs[:-1]]
        right = torch.stack(hits, dim=-1) if hits else member.new_zeros(len(labels), 0)
        found.append(member.T @ right / member.sum(dim=0).clamp_min(1.0)[:, None])
    return torch.stack(found).mean(dim=0)
