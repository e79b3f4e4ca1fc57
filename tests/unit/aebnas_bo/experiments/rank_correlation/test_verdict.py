from dataclasses import replace

import pytest

from aebnas_bo.experiments.rank_correlation.statistics import AgainstMacs, Agreement, Interval
from aebnas_bo.experiments.rank_correlation.verdict import interval_text, verdict

TAU = Interval(0.7, 0.5, 0.9)


def found(gain: Interval, partial: Interval | None) -> list[Agreement]:
    return [Agreement("accuracy", 12, TAU, AgainstMacs(TAU, gain, partial), TAU, TAU, {})]


@pytest.mark.parametrize(
    ("gain", "sentence"),
    [
        (Interval(0.12, 0.03, 0.21), "Estimates rank these networks better than their MACs alone: tau +0.12 [0.03"),
        (Interval(0.12, 0.0, 0.21), "are not shown to rank these networks better than their MACs alone: tau +0.12"),
        (Interval(-0.2, -0.3, -0.1), "rank these networks worse than their MACs alone: tau -0.20 [-0.30, -0.10]."),
    ],
)
def test_verdict_says_whether_estimates_beat_macs(gain, sentence) -> None:
    assert sentence in verdict(found(gain, TAU))


@pytest.mark.parametrize(
    ("partial", "sentence"),
    [
        (Interval(0.4, 0.1, 0.6), "At equal MACs they still tell better networks from worse: partial tau 0.40"),
        (Interval(0.4, -0.1, 0.6), "not shown to tell better networks from worse"),
        (Interval(-0.4, -0.6, -0.1), "do not choose by them"),
        (None, "too few networks"),
    ],
)
def test_verdict_says_whether_estimates_rank_networks_of_equal_macs(partial, sentence) -> None:
    assert sentence in verdict(found(TAU, partial))


def test_verdict_says_how_trainings_rank_each_other() -> None:
    repeated = [replace(one, between_trainings=Interval(0.6, 0.4, 0.8)) for one in found(TAU, TAU)]
    assert verdict(repeated).endswith("One training of these networks ranks another with tau 0.60 [0.40, 0.80].")
    assert "One training" not in verdict(found(TAU, TAU))


def test_verdict_without_anything_to_compare_says_so() -> None:
    assert "nothing to rank" in verdict([])
    equal = [Agreement("accuracy", 12, TAU, None, TAU, TAU, {})]
    assert verdict(equal) == "All networks have equal MACs; estimates rank them with tau 0.70 [0.50, 0.90]."


def test_interval_text_has_no_negative_zero() -> None:
    assert interval_text(Interval(-0.001, -0.2, -0.004)) == "0.00 [-0.20, 0.00]"
    assert interval_text(Interval(0.1, 0.0, 0.2), is_signed=True) == "+0.10 [0.00, 0.20]"
