import numpy as np
import pytest

from aebnas_bo.config import FidelityConfig
from aebnas_bo.fidelity.statistics import agreement, top_k_regret

CONFIG = FidelityConfig(bootstrap_samples=200)


def compare(estimates, truths, quantity="accuracy"):
    return agreement(quantity, estimates, truths, CONFIG, np.random.default_rng(0))


def test_a_hand_counted_example() -> None:
    # of the 6 pairs of 1 3 2 4 five agree with the order 10 20 30 40, one does not
    result = compare([1.0, 3.0, 2.0, 4.0], [10.0, 20.0, 30.0, 40.0])
    assert result is not None
    assert result.kendall_tau.value == pytest.approx(4 / 6)
    assert result.spearman_rho.value == pytest.approx(0.8)
    assert result.pearson_r.value == pytest.approx(0.8)
    assert result.num_networks == 4
    assert result.top_k_regret.keys() == {1, 3}


def test_intervals_hold_the_value_and_shrink_with_the_number_of_networks() -> None:
    generator = np.random.default_rng(1)
    widths = []
    for count in (10, 100):
        truth = generator.normal(size=count)
        result = compare(truth + generator.normal(size=count), truth)
        tau = result.kendall_tau
        assert tau.low < tau.value < tau.high
        widths.append(tau.high - tau.low)
    assert widths[1] < 0.6 * widths[0]


def test_regret_is_what_the_short_list_misses() -> None:
    estimates, truths = np.array([0.9, 0.8, 0.7]), np.array([50.0, 70.0, 75.0])
    assert [top_k_regret(estimates, truths, k) for k in (1, 2, 3)] == [25.0, 5.0, 0.0]


def test_costs_have_no_regret() -> None:
    assert compare([1.0, 2.0, 3.0, 4.0], [1.0, 2.0, 3.0, 5.0], "average_macs").top_k_regret == {}


@pytest.mark.parametrize(
    ("estimates", "truths"), [([1.0] * 5, range(5)), (range(5), [1.0] * 5), ([1, 2, 3], [1, 2, 3])]
)
def test_nothing_to_rank_is_none(estimates, truths) -> None:
    assert compare(list(estimates), list(truths)) is None
