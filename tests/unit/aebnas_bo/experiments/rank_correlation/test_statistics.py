import csv
from pathlib import Path

import numpy as np
import pytest

from aebnas_bo.experiments.rank_correlation.settings import FidelityConfig
from aebnas_bo.experiments.rank_correlation.statistics import agreement

CONFIG = FidelityConfig(bootstrap_samples=200)
RESULTS = Path(__file__).resolve().parents[5] / "benchmarks" / "results"


def compare(estimates, truths, quantity="accuracy", macs=None, config=CONFIG):
    costs = np.arange(1.0, len(truths) + 1.0) if macs is None else macs
    macs = None if quantity == "average_macs" else costs
    return agreement(
        quantity, estimates, trainings=[truths], macs=macs, config=config, generator=np.random.default_rng(0)
    )


def test_a_hand_counted_example() -> None:
    # of the 6 pairs of 1 3 2 4 five agree with the order 10 20 30 40, one does not; the costs 1 4 3 2 have 3 and 3
    result = compare([1.0, 3.0, 2.0, 4.0], [10.0, 20.0, 30.0, 40.0], macs=[1.0, 4.0, 3.0, 2.0])
    assert result is not None
    assert result.kendall_tau.value == pytest.approx(4 / 6)
    assert result.against_macs.kendall_tau.value == pytest.approx(0.0)
    assert result.against_macs.gain.value == pytest.approx(4 / 6)
    assert result.against_macs.partial_kendall_tau is None  # four networks
    assert result.spearman_rho.value == pytest.approx(0.8)
    assert result.pearson_r.value == pytest.approx(0.8)
    assert result.num_networks == 4
    assert result.top_k_regret.keys() == {1, 3}


def test_several_trainings_are_averaged_and_compared_with_each_other() -> None:
    # the means 2 3 4 5 are in the order of the estimates; of the 6 pairs of both trainings three agree and three do not
    trainings = [[1.0, 4.0, 3.0, 6.0], [3.0, 2.0, 5.0, 4.0]]
    result = agreement(
        "accuracy", [1.0, 2.0, 3.0, 4.0], trainings=trainings, macs=None, config=CONFIG,
        generator=np.random.default_rng(0),
    )  # fmt: skip
    assert result.kendall_tau.value == pytest.approx(1.0)
    assert result.between_trainings.value == pytest.approx(0.0)
    assert compare([1.0, 3.0, 2.0, 4.0], [1.0, 2.0, 3.0, 4.0]).between_trainings is None


def test_a_partial_tau_of_few_networks_has_a_wide_interval() -> None:
    partial = compare([1.0, 3.0, 2.0, 4.0, 6.0], [1.0, 3.0, 4.0, 3.5, 5.0]).against_macs.partial_kendall_tau
    assert (partial.low, partial.high) == (-1.0, 1.0)


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


def test_a_gain_is_paired_over_the_same_resamples() -> None:
    # estimates that rank just as MACs do gain nothing in any resample, however wide either interval is
    generator = np.random.default_rng(2)
    macs = generator.uniform(1.0, 5.0, size=12)
    against = compare(3.0 * macs, macs + generator.normal(size=12), macs=macs).against_macs
    assert against.kendall_tau.high - against.kendall_tau.low > 0.1
    assert (against.gain.value, against.gain.low, against.gain.high) == (0.0, 0.0, 0.0)


@pytest.mark.parametrize(
    ("study", "tau", "of_macs", "gain", "partial"),
    [
        ("cifar10", 0.72, 0.76, (-0.04, -0.37, 0.24), 0.24),
        ("supernet", 0.73, 0.84, (-0.11, -0.29, 0.02), 0.41),
    ],
)
def test_published_studies_rank_no_better_than_average_macs(study, tau, of_macs, gain, partial) -> None:
    """Average MACs of the networks trained alone, computed apart from this code before it was written."""
    with (RESULTS / study / "fidelity" / "fidelity.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    estimates, truths, macs = (
        [float(row[name]) for row in rows] for name in ("accuracy_estimate", "accuracy_alone", "average_macs_alone")
    )
    result = compare(estimates, truths, macs=macs, config=FidelityConfig())
    against = result.against_macs
    assert result.kendall_tau.value == pytest.approx(tau, abs=0.005)
    assert against.kendall_tau.value == pytest.approx(of_macs, abs=0.005)
    assert (against.gain.value, against.gain.low, against.gain.high) == pytest.approx(gain, abs=0.02)
    assert against.partial_kendall_tau.value == pytest.approx(partial, abs=0.005)


def test_costs_have_no_regret_and_are_not_held_against_themselves() -> None:
    result = compare([1.0, 2.0, 3.0, 4.0], [1.0, 2.0, 3.0, 5.0], "average_macs")
    assert result.top_k_regret == {}
    assert result.against_macs is None


def test_equal_macs_rank_nothing() -> None:
    result = compare([1.0, 3.0, 2.0, 4.0, 5.0], [1.0, 2.0, 3.0, 4.0, 5.0], macs=[2.0] * 5)
    assert result.against_macs is None
    assert result.top_k_regret.keys() == {1, 3}


@pytest.mark.parametrize(
    ("estimates", "truths"), [([1.0] * 5, range(5)), (range(5), [1.0] * 5), ([1, 2, 3], [1, 2, 3])]
)
def test_nothing_to_rank_is_none(estimates, truths) -> None:
    assert compare(list(estimates), list(truths)) is None
