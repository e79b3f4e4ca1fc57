"""Rank correlation of estimates, compared with that of MACs alone, with bootstrap intervals."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from aebnas_bo.experiments.rank_correlation.resamples import (
    Values,
    bootstrap_counts,
    differs,
    kendall_taus,
    partial_taus,
    pearson_rs,
    spearman_rhos,
    top_k_regrets,
)
from aebnas_bo.experiments.rank_correlation.settings import FidelityConfig

LEVEL = 95.0  # percent covered by an interval
MIN_NETWORKS = 5  # of a partial tau; a quadratic has three coefficients and leaves too little of fewer
Statistic = Callable[[Values], Values]  # from counts of R resamples to R values


@dataclass(frozen=True)
class Interval:
    """A statistic with its 95 % percentile interval over bootstrap resamples (Efron 1979)."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class AgainstMacs:
    """Rank correlation of estimates compared with that of MACs, which need no training.

    Args:
        kendall_tau: Kendall's tau-b of MACs alone.
        gain: Tau of the estimates less tau of MACs alone, over the same resamples.
        partial_kendall_tau: Kendall's tau-b of the residuals of estimates and truths after a quadratic in log MACs;
            `None` where there are fewer than 5 networks or the quadratic leaves nothing.
    """

    kendall_tau: Interval
    gain: Interval
    partial_kendall_tau: Interval | None


@dataclass(frozen=True)
class Agreement:
    """Agreement of estimates of one quantity with separately trained networks.

    Args:
        quantity: Estimated quantity: `accuracy` or `average_macs` of the whole network, `final` or `exit1` ... for the
            accuracy of one output.
        num_networks: Networks that have it.
        kendall_tau: Kendall's tau-b.
        against_macs: Comparison with MACs alone; `None` if the quantity is not an accuracy or all MACs are equal.
        spearman_rho: Spearman's rank correlation.
        pearson_r: Pearson's correlation.
        top_k_regret: For each k, how much the best of the k networks with the highest estimates falls short of the best
            of all, in the quantity's unit. Accuracies only.
        between_trainings: Kendall's tau-b between two separate trainings, the mean over all pairs; `None` for one
            training per network.
    """

    quantity: str
    num_networks: int
    kendall_tau: Interval
    against_macs: AgainstMacs | None
    spearman_rho: Interval
    pearson_r: Interval
    top_k_regret: dict[int, Interval]
    between_trainings: Interval | None = None


def agreement(
    quantity: str,
    estimates: Sequence[float],
    *,
    trainings: Sequence[Sequence[float]],
    macs: Sequence[float] | None,
    config: FidelityConfig,
    generator: np.random.Generator,
) -> Agreement | None:
    """Compare estimates with truths.

    Args:
        quantity: Name of what is compared.
        estimates: `n` estimates.
        trainings: `n` values of the networks trained alone, for each training; estimates are compared with their mean.
        macs: MACs of the output in each of the `n` networks, positive; `None` if the quantity is not an accuracy.
        config: Sizes of the short lists and number of resamples.
        generator: Source of the resamples.

    Returns:
        The agreement, or `None` where fewer than 4 networks or no differences leave nothing to rank.
    """
    count = len(estimates)
    if count < 4:
        return None
    estimate, single = np.asarray(estimates, dtype=np.float64), np.asarray(trainings, dtype=np.float64)
    truth = single.mean(axis=0)
    if np.ptp(estimate) == 0.0 or np.ptp(truth) == 0.0:
        return None
    counts = bootstrap_counts(count, config.bootstrap_samples, generator)
    counts = counts[differs(counts, estimate) & differs(counts, truth)]
    has_macs = macs is not None and np.ptp(macs) > 0.0
    lists = sorted({k for k in config.top_k if k < count}) if macs is not None else []

    def regrets(k: int) -> Statistic:
        return lambda rows: top_k_regrets(rows, estimate, truth, k=k)

    return Agreement(
        quantity=quantity,
        num_networks=count,
        kendall_tau=_interval(counts, lambda rows: kendall_taus(rows, estimate, truth)),
        against_macs=_against_macs(counts, estimate, truth, macs=np.asarray(macs, np.float64)) if has_macs else None,
        spearman_rho=_interval(counts, lambda rows: spearman_rhos(rows, estimate, truth)),
        pearson_r=_interval(counts, lambda rows: pearson_rs(rows, estimate, truth)),
        top_k_regret={k: _interval(counts, regrets(k)) for k in lists},
        between_trainings=_interval(counts, lambda rows: _mean_tau(rows, single)) if len(single) > 1 else None,
    )


def _mean_tau(rows: Values, trainings: Values) -> Values:
    pairs = combinations(trainings, 2)
    taus: Values = np.mean([kendall_taus(rows, one, other) for one, other in pairs], axis=0)
    return taus


def _against_macs(counts: Values, estimate: Values, truth: Values, *, macs: Values) -> AgainstMacs:
    def gain(rows: Values) -> Values:
        return kendall_taus(rows, estimate, truth) - kendall_taus(rows, macs, truth)

    def partial(rows: Values) -> Values:
        return partial_taus(rows, macs, (estimate, truth))

    count = counts.shape[1]
    has_partial = count >= MIN_NETWORKS and bool(np.isfinite(partial(np.ones((1, count)))[0]))
    return AgainstMacs(
        kendall_tau=_interval(counts, lambda rows: kendall_taus(rows, macs, truth)),
        gain=_interval(counts, gain),
        partial_kendall_tau=_interval(counts, partial) if has_partial else None,
    )


def _interval(counts: Values, statistic: Statistic) -> Interval:
    """Return a statistic of all networks with its interval; resamples that do not have it are left out."""
    value = float(statistic(np.ones((1, counts.shape[1])))[0])
    values = statistic(counts)
    tail = (100.0 - LEVEL) / 2.0
    low, high = np.percentile(values[np.isfinite(values)], [tail, 100.0 - tail])
    return Interval(value, float(low), float(high))
