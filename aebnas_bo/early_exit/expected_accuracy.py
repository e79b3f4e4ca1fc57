"""Probability that each output is correct, to tune thresholds on few images.

The accuracy at given thresholds on a few hundred images is a noisy count, and the best of many counts is partly luck.
The expected accuracy varies less. With an exit ensemble, the distribution that all outputs predict together gives it
(`exit_ensemble`). Without one, it comes from a logistic regression of correctness on the logits of the confidences
of the output and of all earlier exits, with the smoothed targets of Platt (1999). Earlier exits are included because
late images are the hard ones.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import torch
from sklearn.linear_model import LogisticRegression
from torch import Tensor

from aebnas_bo.early_exit.exit_rule import ExitTable
from aebnas_bo.early_exit.threshold_tuning import TunedThresholds, TuningGoal, tune_thresholds

MARGIN = 1e-3  # confidences are clamped to [MARGIN, 1 - MARGIN]
REGULARIZATION = 10.0  # scikit-learn's C: weak regularisation


def with_probabilities(table: ExitTable) -> ExitTable:
    """Return a table with the probability that each of its `E` outputs is correct for each of its `B` images.

    Args:
        table: The table.
    """
    shares = table.confidence.double().numpy().clip(MARGIN, 1.0 - MARGIN)
    logits = np.log(shares / (1.0 - shares))
    rows = [_probabilities(logits[: output + 1].T, right.numpy()) for output, right in enumerate(table.is_correct)]
    return replace(table, probability=torch.stack(rows))


def without_probabilities(table: ExitTable) -> ExitTable:
    """Return a table without the probabilities that its outputs are correct."""
    if table.of_path is None:
        return replace(table, probability=None)
    of_path = {path: replace(one, probability=None) for path, one in table.of_path.items()}
    return replace(table, probability=None, of_path=of_path)


def tune_by_expected_accuracy(
    table: ExitTable, *, backbone: Sequence[int], branches: Sequence[int], goal: TuningGoal
) -> TunedThresholds:
    """Tune thresholds for a goal by expected accuracy; a minimum accuracy refers to counted accuracy.

    Args:
        table: The network's table over `B` images; without probabilities they are estimated.
        backbone: MACs of the backbone up to each output, `E`, ascending.
        branches: MACs of each exit's branch, `E - 1`.
        goal: The tuning goal.
    """
    if goal.kind == "min_accuracy":
        judged = without_probabilities(table)
    else:
        judged = with_probabilities(table) if table.probability is None else table
    return tune_thresholds(judged, backbone=backbone, branches=branches, goal=goal)


def _probabilities(logits: npt.NDArray[np.float64], is_right: npt.NDArray[np.bool_]) -> Tensor:
    """Return the probability that one output is correct, `B`.

    Args:
        logits: Logits of the confidences of this output and earlier ones, `B x k`.
        is_right: Whether it is correct, `B`.
    """
    num_right, num_wrong = is_right.sum(), (~is_right).sum()
    targets = np.where(is_right, (num_right + 1.0) / (num_right + 2.0), 1.0 / (num_wrong + 2.0))
    both = np.concatenate([logits, logits])  # weights: the target for correct, 1 - target for wrong
    classes = np.repeat([1, 0], len(targets))
    model = LogisticRegression(C=REGULARIZATION).fit(both, classes, np.concatenate([targets, 1.0 - targets]))
    return torch.from_numpy(model.predict_proba(logits)[:, 1])
