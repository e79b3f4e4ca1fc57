"""Statistics of bootstrap resamples, vectorised over resamples.

A resample is written as counts: how often it holds each network. So every statistic here is a weighted one, and the
original sample is the row of ones. Legend: `R` resamples, `n` networks.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]
NOTHING_LEFT = 1e-9  # residuals that differ by less than this share of the values are rounding errors


def bootstrap_counts(count: int, samples: int, generator: np.random.Generator) -> Values:
    """Draw resamples with replacement.

    Args:
        count: Number of networks `n`.
        samples: Number of resamples `R`.
        generator: Source of randomness.

    Returns:
        `R x n` counts.
    """
    chosen = generator.integers(count, size=(samples, count))
    return np.stack([np.bincount(row, minlength=count) for row in chosen]).astype(np.float64)


def differs(counts: Values, values: Values) -> NDArray[np.bool_]:
    """Return for each of the `R` resamples whether it has two different values.

    Args:
        counts: `R x n` counts.
        values: `n` values.
    """
    return _pairs(counts, np.abs(_signs(values))) > 0.0


def kendall_taus(counts: Values, first: Values, second: Values) -> Values:
    """Return Kendall's tau-b (1945) of each of the `R` resamples, NaN where either side has no differences.

    Args:
        counts: `R x n` counts.
        first: `n` values.
        second: `n` values.
    """
    one, other = _signs(first), _signs(second)
    untied = _pairs(counts, np.abs(one)) * _pairs(counts, np.abs(other))
    agreeing = _pairs(counts, one * other)
    return np.divide(agreeing, np.sqrt(untied), out=np.full(len(counts), np.nan), where=untied > 0.0)


def pearson_rs(counts: Values, first: Values, second: Values) -> Values:
    """Return Pearson's correlation of each of the `R` resamples; both sides must have differences.

    Args:
        counts: `R x n` counts.
        first: `n` values, or `R x n`.
        second: `n` values, or `R x n`.
    """
    shares = counts / counts.sum(axis=1, keepdims=True)
    one, other = (side - np.sum(shares * side, axis=1, keepdims=True) for side in (first, second))
    norm = np.sqrt(np.sum(shares * one**2, axis=1) * np.sum(shares * other**2, axis=1))
    return np.asarray(np.sum(shares * one * other, axis=1) / norm)


def spearman_rhos(counts: Values, first: Values, second: Values) -> Values:
    """Return Spearman's rank correlation of each of the `R` resamples; both sides must have differences.

    Args:
        counts: `R x n` counts.
        first: `n` values.
        second: `n` values.
    """
    # networks below less networks above is twice the average rank, up to a constant
    return pearson_rs(counts, counts @ _signs(first).T, counts @ _signs(second).T)


def partial_taus(counts: Values, costs: Values, sides: tuple[Values, Values]) -> Values:
    """Return Kendall's tau-b of both sides' residuals after a quadratic in log cost, fitted to each resample.

    Args:
        counts: `R x n` counts.
        costs: `n` positive costs.
        sides: Two times `n` values.

    Returns:
        `R` values; NaN where costs have no differences or the fit leaves nothing of a side, as of three networks.
    """
    found = np.full(len(counts), np.nan)
    for number, row in enumerate(counts):
        held = row > 0.0
        if np.ptp(costs[held]) == 0.0:
            continue
        left = [_residuals(row[held], costs[held], side[held]) for side in sides]
        if all(np.ptp(rest) > NOTHING_LEFT * np.ptp(side[held]) for rest, side in zip(left, sides, strict=True)):
            found[number] = kendall_taus(row[None, held], left[0], left[1])[0]
    return found


def top_k_regrets(counts: Values, estimates: Values, truths: Values, *, k: int) -> Values:
    """Return how much the best of the `k` highest estimates of each resample falls short of its best of all.

    Args:
        counts: `R x n` counts.
        estimates: `n` estimates; of equal ones the earlier counts as higher.
        truths: `n` true values, higher is better.
        k: Size of the short list.
    """
    order = np.argsort(-estimates, kind="stable")
    ordered, values = counts[:, order], np.broadcast_to(truths[order], counts.shape)
    held = ordered > 0.0
    is_listed = held & (np.cumsum(ordered, axis=1) - ordered < k)
    best, best_listed = (np.where(chosen, values, -np.inf).max(axis=1) for chosen in (held, is_listed))
    return np.asarray(best - best_listed)


def _signs(values: Values) -> Values:
    """Return `n x n` signs: 1 where the row's value is higher than the column's."""
    return np.sign(values[:, None] - values[None, :])


def _pairs(counts: Values, table: Values) -> Values:
    """Return the sum of an `n x n` table over all pairs of each of the `R` resamples."""
    return np.asarray(np.sum((counts @ table) * counts, axis=1))


def _residuals(weights: Values, costs: Values, values: Values) -> Values:
    """Return the residuals of `n` values after a quadratic in log cost, fitted by weighted least squares."""
    logarithm = np.log(costs)
    x = (logarithm - logarithm.mean()) / np.ptp(logarithm)
    root = np.sqrt(weights)
    design = np.stack([np.ones_like(x), x, x**2], axis=1) * root[:, None]
    constant, linear, quadratic = np.linalg.lstsq(design, values * root, rcond=None)[0]
    return values - (constant + x * (linear + x * quadratic))
