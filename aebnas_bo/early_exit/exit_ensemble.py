"""Exit ensemble: an output's prediction is a weighted sum of its logits and those of the exits passed before it.

The exits that an image has passed were run anyway, so their logits cost no further MACs. A sum of logits is a product
of predicted distributions. The weights maximise the likelihood of held-out labels; with a single output this would be
temperature scaling.

A *path* is a tuple of the outputs that an image passes, ascending; the last is the one where it leaves. If an exit is
switched off, later outputs have other paths, and so other weights.

Thresholds are tuned by the distribution that all outputs predict together: the probability that it gives to the
prediction of an output is the probability that it is correct. On few images, such expected accuracies vary much less
than counts of correct predictions, because they say by how much a later output is better from every image.

Legend: `B` images, `K` classes, `E` outputs (active exits in order, then the final classifier).

References:
    M. Wołczyk, B. Wójcik, K. Bałazy, I. Podolak, J. Tabor, M. Śmieja, T. Trzciński. Zero Time Waste: Recycling
    Predictions in Early Exit Neural Networks. NeurIPS 2021, section 3 (products of distributions with learned weights).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations

import numpy as np
import numpy.typing as npt
import torch
from scipy.optimize import minimize
from torch import Tensor

from aebnas_bo.early_exit.exit_rule import ExitPath

# Weight of the penalty on the distance from an output's own logits, relative to the loss of one image. Between 1 and 5,
# it hardly matters with 200 held-out images; with 50, the means over draws lost no more than 0.01 points with 5.
PENALTY = 5.0
MOST_IMAGES = 2000  # for fitting; a handful of weights needs no more


@dataclass(frozen=True)
class ExitEnsemble:
    """Weights of logits by path.

    Args:
        weights: For each path, a weight for each of its outputs. Outputs whose path is not listed predict by their own
            logits.
    """

    weights: Mapping[ExitPath, tuple[float, ...]] = field(default_factory=dict)

    def logits(self, outputs: Sequence[Tensor], path: ExitPath) -> Tensor:
        """Return the logits by which images of a path are classified, `B x K`.

        Args:
            outputs: Logits of each of the `E` outputs, `B x K`.
            path: The outputs passed, with the one where images leave as the last.
        """
        if path not in self.weights:
            return outputs[path[-1]]
        return weighted_sum([outputs[row] for row in path], self.weights[path])


NO_ENSEMBLE = ExitEnsemble()


def all_paths(num_outputs: int) -> list[ExitPath]:
    """Return every path through `E` outputs."""
    return [path for length in range(1, num_outputs + 1) for path in combinations(range(num_outputs), length)]


def weighted_sum(logits: Sequence[Tensor], weights: Sequence[float]) -> Tensor:
    """Return the weighted sum of logits, `B x K`.

    Args:
        logits: Logits of the outputs of a path, `B x K` each.
        weights: One per output.
    """
    total = logits[0] * weights[0]
    for one, weight in zip(logits[1:], weights[1:], strict=True):
        total = total + one * weight
    return total


def fit_ensemble(outputs: Sequence[Tensor], labels: Tensor) -> ExitEnsemble:
    """Fit non-negative weights for every path of at least two outputs, on at most `MOST_IMAGES` evenly spaced images.

    Exits with a learned confidence predict alone.

    Args:
        outputs: Logits of each of the `E` outputs on held-out images, `B x K`; those of exits with a learned confidence
            have one more column.
        labels: Their classes, `B`.
    """
    if len({one.shape[1] for one in outputs}) > 1:
        return NO_ENSEMBLE
    step = math.ceil(len(labels) / MOST_IMAGES)
    logits, right = np.stack([one[::step].double().numpy() for one in outputs]), labels[::step].numpy()
    paths = [path for path in all_paths(len(outputs)) if len(path) > 1]
    return ExitEnsemble({path: _fitted(logits[list(path)], right) for path in paths})


def _fitted(logits: npt.NDArray[np.float64], labels: npt.NDArray[np.int64]) -> tuple[float, ...]:
    """Return the weights of one path; the loss is convex in them.

    Args:
        logits: Logits of its outputs, `P x B x K`.
        labels: Classes, `B`.
    """
    num_images, flat = len(labels), logits.reshape(len(logits), -1)
    own = np.zeros(len(logits))
    own[-1] = 1.0
    of_label = logits[:, np.arange(num_images), labels].mean(axis=1)

    def loss(weights: npt.NDArray[np.float64]) -> tuple[float, npt.NDArray[np.float64]]:
        total = torch.from_numpy((weights @ flat).reshape(num_images, -1))
        cross_entropy = float(total.logsumexp(dim=1).mean()) - float(weights @ of_label)
        expected = flat @ total.softmax(dim=1).numpy().ravel() / num_images
        distance, scale = weights - own, PENALTY / num_images
        return cross_entropy + scale * float(distance @ distance), expected - of_label + 2.0 * scale * distance

    found = minimize(loss, own, jac=True, method="L-BFGS-B", bounds=[(0.0, None)] * len(own))
    return tuple(float(weight) for weight in found.x)
