"""Temperature scaling of confidences (Guo et al. 2017).

Legend: `B` images, `K` classes.

References:
    C. Guo, G. Pleiss, Y. Sun, K. Q. Weinberger. On Calibration of Modern Neural Networks. ICML 2017, sections 3, 4.2.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from scipy.optimize import minimize_scalar
from torch import Tensor

from aebnas_bo.early_exit.confidence import confidence
from aebnas_bo.early_exit.settings import ConfidenceName

MOST = 20.0  # temperatures lie in [1 / MOST, MOST]
NUM_BINS = 15  # as in Guo et al.


def fit_temperature(logits: Tensor, labels: Tensor, *, name: ConfidenceName, num_classes: int) -> float:
    """Return the temperature that maximises the likelihood of held-out labels; 1 if all predictions are correct.

    Without wrong predictions the likelihood has its maximum near temperature 0, where all confidences are equal.

    Args:
        logits: `B x K`, or `B x (K + 1)` with the logit of a learned confidence as the last column.
        labels: The true classes, `B`.
        name: Confidence measure; for a learned one, the likelihood is that of correctness instead of labels.
        num_classes: Number of classes, `K`.
    """
    logits = logits.double()
    if bool((logits[:, :num_classes].argmax(dim=-1) == labels).all()):
        return 1.0
    if name == "learned" and logits.shape[-1] > num_classes:
        is_right = (logits[:, :num_classes].argmax(dim=-1) == labels).double()
        return _fitted(lambda t: F.binary_cross_entropy_with_logits(logits[:, num_classes] / t, is_right))
    return _fitted(lambda t: F.cross_entropy(logits[:, :num_classes] / t, labels))


def _fitted(loss: Callable[[float], Tensor]) -> float:
    """Minimise over the logarithm of the temperature; the loss is convex in the inverse, so it has one minimum."""
    edge = math.log(MOST)
    found = minimize_scalar(lambda log_t: float(loss(math.exp(log_t))), bounds=(-edge, edge), method="bounded")
    return math.exp(float(found.x))


def calibration_error(logits: Tensor, labels: Tensor, *, name: ConfidenceName, num_classes: int) -> float:
    """Return the expected calibration error in percent: the mean distance of confidence and accuracy over bins.

    Args:
        logits: See `fit_temperature`.
        labels: The true classes, `B`.
        name: Confidence measure; `learned` uses the learned confidence, all others the largest softmax probability.
        num_classes: Number of classes, `K`.
    """
    has_own = name == "learned" and logits.shape[-1] > num_classes
    sure = confidence(logits.double(), "learned" if has_own else "max_softmax", num_classes)
    is_right = (logits[:, :num_classes].argmax(dim=-1) == labels).double()
    bins = (sure * NUM_BINS).long().clamp_max(NUM_BINS - 1)
    gaps = torch.zeros(NUM_BINS, dtype=torch.float64).index_add_(0, bins, is_right - sure)
    return 100.0 * float(gaps.abs().sum()) / len(labels)
