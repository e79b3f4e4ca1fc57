"""How well estimates rank what they estimate, with bootstrap intervals."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from aebnas_bo.config import FidelityConfig

Values = NDArray[np.float64]
LEVEL = 95.0  # percent covered by an interval


@dataclass(frozen=True)
class Interval:
    """A statistic with its 95 % percentile interval over bootstrap resamples (Efron 1979)."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Agreement:
    """How estimates of one quantity agree with the networks trained alone.

    Args:
        quantity: What was estimated: `accuracy` or `average_macs` of the whole network, `final` or `exit1` ... for the
            accuracy of one output.
        num_networks: Networks that have it.
        kendall_tau: Kendall's tau-b.
        spearman_rho: Spearman's rank correlation.
        pearson_r: Pearson's correlation.
        top_k_regret: For each k, how much the best of the k networks with the highest estimates falls short of the best
            of all, in the quantity's unit. Accuracies only.
    """

    quantity: str
    num_networks: int
    kendall_tau: Interval
    spearman_rho: Interval
    pearson_r: Interval
    top_k_regret: dict[int, Interval]


def agreement(
    quantity: str,
    estimates: Sequence[float],
    truths: Sequence[float],
    config: FidelityConfig,
    generator: np.random.Generator,
) -> Agreement | None:
    """Compare estimates with truths.

    Args:
        quantity: Name of what is compared.
        estimates: `n` estimates.
        truths: `n` values of the networks trained alone.
        config: Sizes of the short lists and number of resamples.
        generator: Source of the resamples.

    Returns:
        The agreement, or `None` where fewer than 4 networks or no differences leave nothing to rank.
    """
    estimate, truth = np.asarray(estimates, dtype=np.float64), np.asarray(truths, dtype=np.float64)
    count = len(truth)
    if count < 4 or np.ptp(estimate) == 0.0 or np.ptp(truth) == 0.0:
        return None
    resamples = generator.integers(count, size=(config.bootstrap_samples, count))

    def interval(statistic: Callable[[Values, Values], float]) -> Interval:
        values = []
        for chosen in resamples:
            one, other = estimate[chosen], truth[chosen]
            if np.ptp(one) > 0.0 and np.ptp(other) > 0.0:
                values.append(statistic(one, other))
        tail = (100.0 - LEVEL) / 2.0
        low, high = np.percentile(values, [tail, 100.0 - tail])
        return Interval(float(statistic(estimate, truth)), float(low), float(high))

    lists = sorted({k for k in config.top_k if k < count}) if quantity != "average_macs" else []
    return Agreement(
        quantity=quantity,
        num_networks=count,
        kendall_tau=interval(lambda one, other: float(stats.kendalltau(one, other).statistic)),
        spearman_rho=interval(lambda one, other: float(stats.spearmanr(one, other).statistic)),
        pearson_r=interval(lambda one, other: float(stats.pearsonr(one, other).statistic)),
        top_k_regret={k: interval(lambda one, other, k=k: top_k_regret(one, other, k)) for k in lists},  # type: ignore[misc]
    )


def top_k_regret(estimates: Values, truths: Values, k: int) -> float:
    """Return how much the best of the `k` highest estimates falls short of the best of all.

    Args:
        estimates: `n` estimates; of equal ones the earlier counts as higher.
        truths: `n` true values, higher is better.
        k: Size of the short list.
    """
    short_list = np.argsort(-estimates, kind="stable")[:k]
    return float(truths.max() - truths[short_list].max())
