r"""Which network to train next: the expected gain in the best predicted accuracy.

After a training, the predicted accuracies of the contenders change to :math:`\mu_i + b_i Z` with a standard normal
:math:`Z`. The value of the training is the expected increase of the largest of them,

.. math::
    E\bigl[\max_i (\mu_i + b_i Z)\bigr] - \max_i \mu_i,

which is exact: the maximum is piecewise linear in :math:`Z`. Only trained networks can be chosen in the end, so a
training also lets its network join the contenders.

Legend: `k` contenders, `c` candidates for training.

References:
    P. Frazier, W. Powell, S. Dayanik. The Knowledge-Gradient Policy for Correlated Normal Beliefs. INFORMS Journal on
    Computing 21, 2009, section 3, algorithm 1.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor

from surrogates.two_fidelity import TwoFidelityGP

EQUAL = 1e-12  # difference of slopes below which two lines are parallel


def values_of_trainings(model: TwoFidelityGP, trained: Tensor, candidates: Tensor) -> Tensor:
    """Return the value of training each candidate where only trained networks can be chosen afterwards, `c`.

    The contenders are the trained networks and the candidate itself, which joins them. Its value is the expected
    largest predicted accuracy after its training less the largest one of the trained networks before. Without any
    trained network, the lowest prediction of all candidates takes their place.

    Args:
        model: The fitted model.
        trained: Rows of the trained networks, `k x d`.
        candidates: Rows of the others, `c x d`.
    """
    num_trained = len(trained)
    X = torch.cat([trained, candidates])
    mean, covariance = model.predict(X, torch.ones(len(X), dtype=torch.bool))
    noise = model.noise_of(torch.ones(len(candidates), dtype=torch.bool))
    scale = (covariance.diagonal()[num_trained:].clamp_min(0.0) + noise).sqrt()
    own = covariance.diagonal()[num_trained:] / scale
    effects = covariance[:num_trained, num_trained:] / scale
    means = mean[:num_trained].tolist() or [float(mean.min())]
    values = []
    for column, its_mean in enumerate(mean[num_trained:].tolist()):
        of_trained = effects[:, column].tolist() or [0.0]
        gain = expected_gain([*means, its_mean], [*of_trained, float(own[column])])
        values.append(gain + max(its_mean - max(means), 0.0))
    return torch.tensor(values, dtype=mean.dtype)


def expected_gain(means: Sequence[float], effects: Sequence[float]) -> float:
    """Return the expected increase of the largest of `k` values `means + effects * Z` over the largest mean.

    Args:
        means: Values before the training.
        effects: Change of each value per standard deviation of the new observation.
    """
    lines = _upper_envelope(sorted(zip(effects, means, strict=True)))
    gain = 0.0
    for (slope, level), (steeper, other) in pairwise(lines):
        meeting = abs((level - other) / (steeper - slope))
        gain += (steeper - slope) * (_density(meeting) - meeting * _tail(meeting))
    return gain


def _upper_envelope(lines: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """Return the lines, by ascending slope, that are the largest somewhere."""
    kept: list[tuple[float, float]] = []
    starts: list[float] = []  # where each kept line becomes the largest
    for slope, level in lines:
        if kept and slope - kept[-1][0] < EQUAL:
            if level <= kept[-1][1]:
                continue
            kept.pop()
            starts.pop()
        start = -math.inf
        while kept:
            start = (kept[-1][1] - level) / (slope - kept[-1][0])
            if start > starts[-1]:
                break
            kept.pop()
            starts.pop()
            start = -math.inf
        kept.append((slope, level))
        starts.append(start)
    return kept


def _density(z: float) -> float:
    return math.exp(-0.5 * z * z) / math.sqrt(2.0 * math.pi)


def _tail(z: float) -> float:
    """Return the probability that a standard normal value exceeds `z`."""
    return 0.5 * math.erfc(z / math.sqrt(2.0))
