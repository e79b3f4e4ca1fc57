import numpy as np
import pytest
from scipy import stats

from aebnas_bo.experiments.rank_correlation.resamples import (
    bootstrap_counts,
    differs,
    kendall_taus,
    partial_taus,
    pearson_rs,
    spearman_rhos,
    top_k_regrets,
)

GENERATOR = np.random.default_rng(0)
FIRST = np.round(GENERATOR.normal(size=12), 1)  # rounded, so that there are ties
SECOND = np.round(FIRST + GENERATOR.normal(size=12), 1)
COSTS = GENERATOR.uniform(0.1, 5.0, size=12)
COUNTS = bootstrap_counts(12, 50, np.random.default_rng(1))


def repeated(values, row):
    return np.repeat(values, row.astype(int))


@pytest.mark.parametrize(
    ("ours", "reference"),
    [(kendall_taus, stats.kendalltau), (spearman_rhos, stats.spearmanr), (pearson_rs, stats.pearsonr)],
)
def test_correlations_equal_those_of_scipy_over_the_repeated_networks(ours, reference) -> None:
    expected = [reference(repeated(FIRST, row), repeated(SECOND, row)).statistic for row in COUNTS]
    assert ours(COUNTS, FIRST, SECOND) == pytest.approx(expected)


def test_resamples_hold_every_network_once_on_average() -> None:
    counts = bootstrap_counts(8, 500, np.random.default_rng(0))
    assert np.all(counts.sum(axis=1) == 8)
    assert counts.mean(axis=0) == pytest.approx(np.ones(8), abs=0.2)


def test_resamples_without_differences_have_no_tau() -> None:
    counts = np.array([[2.0, 2.0, 0.0], [1.0, 2.0, 1.0]])
    values = np.array([1.0, 1.0, 5.0])
    assert differs(counts, values).tolist() == [False, True]
    taus = kendall_taus(counts, values, np.array([1.0, 2.0, 3.0]))
    assert np.isnan(taus[0])
    assert np.isfinite(taus[1])


def test_partial_taus_equal_those_of_residuals_of_polyfit() -> None:
    def residuals(values, row):
        x, y = np.log(repeated(COSTS, row)), repeated(values, row)
        return np.round(y - np.polyval(np.polyfit(x, y, 2), x), 9)  # equal networks stay equal

    expected = [stats.kendalltau(residuals(FIRST, row), residuals(SECOND, row)).statistic for row in COUNTS]
    assert partial_taus(COUNTS, COSTS, (FIRST, SECOND)) == pytest.approx(expected)


def test_partial_taus_see_through_a_common_cause() -> None:
    cost = np.exp(np.linspace(0.0, 3.0, 200))
    noise = np.random.default_rng(0).normal(scale=0.1, size=(2, 200))
    trend = np.log(cost) - 0.1 * np.log(cost) ** 2
    whole = np.ones((1, 200))
    assert kendall_taus(whole, trend + noise[0], trend + noise[1])[0] > 0.8
    assert abs(partial_taus(whole, cost, (trend + noise[0], trend + noise[1]))[0]) < 0.1


@pytest.mark.parametrize(
    ("row", "costs", "second"),
    [
        ([3, 3, 3, 0, 0, 0], [1, 2, 3, 4, 5, 6], [1, 5, 2, 3, 4, 1]),  # three distinct networks
        ([1] * 6, [2] * 6, [1, 5, 2, 3, 4, 1]),  # equal costs
        ([1] * 6, np.exp([1, 2, 3, 4, 5, 6]), [1, 4, 9, 16, 25, 36]),  # all of it a quadratic in log cost
    ],
)
def test_partial_taus_are_missing_where_nothing_is_left(row, costs, second) -> None:
    first = np.array([2.0, 1.0, 4.0, 3.0, 6.0, 5.0])
    sides = (first, np.array(second, dtype=float))
    assert np.isnan(partial_taus(np.array([row], dtype=float), np.array(costs, dtype=float), sides)[0])


def test_regret_is_what_the_short_list_misses() -> None:
    estimates, truths, whole = np.array([0.9, 0.8, 0.7]), np.array([50.0, 70.0, 75.0]), np.ones((1, 3))
    assert [top_k_regrets(whole, estimates, truths, k=k)[0] for k in (1, 2, 3)] == [25.0, 5.0, 0.0]
    resamples = np.array([[0.0, 3.0, 0.0], [2.0, 0.0, 1.0]])  # the second lists its first network twice
    assert top_k_regrets(resamples, estimates, truths, k=2).tolist() == [0.0, 25.0]
