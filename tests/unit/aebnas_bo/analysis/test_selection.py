from dataclasses import replace

import pytest

from aebnas_bo.analysis.selection import (
    Selection,
    figures_of,
    parse_selection,
    select,
    some_observations,
    within_budget,
)
from aebnas_bo.errors import UsageError
from aebnas_bo.estimation.estimate import OperatingPoint
from aebnas_bo.search.objectives import constraint
from aebnas_bo.search.trial import Observation, Trial
from tests.made_trials import completed, with_further


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("knee", Selection("knee")),
        (" Best-Accuracy ", Selection("best-accuracy")),
        ("macs<=2.44", Selection("macs", 2.44)),
        ("macs <= .5", Selection("macs", 0.5)),
        ("macs<=1e-3", Selection("macs", 0.001)),
        ("latency<=1.5", Selection("latency", 1.5)),
        ("accuracy>=97", Selection("accuracy", 97.0)),
        ("c72f412fd064", Selection("key", key="c72f412fd064")),
        ("C72F", Selection("key", key="c72f")),
    ],
)
def test_selection_is_read(text, expected) -> None:
    assert parse_selection(text) == expected


@pytest.mark.parametrize("text", ["", "best", "macs>=2", "macs<=", "macs<=two", "accuracy<=90", "c72", "c72f412fd0641"])
def test_anything_else_is_refused_with_what_was_expected(text) -> None:
    with pytest.raises(UsageError, match=r"--select .*expected knee, best-accuracy, macs<=X"):
        parse_selection(text)


@pytest.mark.parametrize("text", ["accuracy>=100.1", "macs<=0", "macs<=1e999", "latency<=0.0"])
def test_a_limit_that_no_network_can_have_is_refused(text) -> None:
    with pytest.raises(
        UsageError, match=r"--select .*: (expected a percentage of at most 100|expected a finite number)"
    ):
        parse_selection(text)


@pytest.mark.parametrize("text", ["knee", "best-accuracy", "macs<=2.5", "latency<=3", "accuracy>=97.5", "c72f41"])
def test_selection_prints_as_it_is_written(text) -> None:
    assert str(parse_selection(text)) == text


# The fixture's front: trials 5 (5 %, 0.1 M), 0 (50 %, 2 M), 2 (70 %, 3 M), 1 (90 %, 4 M).
@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("knee", 0),
        ("best-accuracy", 1),
        ("macs<=3.5", 2),
        ("macs<=3", 2),
        ("accuracy>=70", 2),
        ("accuracy>=70.1", 1),
    ],
)
def test_selection_means_one_observation(trials, objectives, text, number) -> None:
    assert select(trials, objectives, parse_selection(text)).number == number


def test_latency_counts_where_it_is_an_objective(trials, timed, three) -> None:
    # The front: 5 (0.1 M, 9 ms), 0 (2 M, 6 ms), 2 (3 M, 5 ms), 1 (4 M, 4 ms), and 4 with 60 % at 3.5 M, 1 ms.
    assert select(timed, three, Selection("latency", 2.0)).number == 4
    assert select(timed, three, Selection("latency", 5.0)).number == 1
    assert select(timed, three, Selection("macs", 3.0)).number == 2
    assert select(timed, three, Selection("knee")).number in {1, 4}
    with pytest.raises(UsageError, match=r"latency<=0.5: no network found meets it; .* 60.00 % at 3.5 M .* and 1 ms"):
        select(timed, three, Selection("latency", 0.5))
    with pytest.raises(UsageError, match="latency_ms is not an objective of this search"):
        select(trials, three[:2], Selection("latency", 5.0))


def test_key_means_its_most_accurate_setting(trials, objectives) -> None:
    better = OperatingPoint({"accuracy": 60.0, "average_macs": 2.5}, {}, thresholds={"exit1_threshold": 0.9})
    named = [replace(with_further(trials[0], better), key="abcd00000000"), replace(trials[1], key="abce00000000")]
    chosen = select(named, objectives, parse_selection("abcd"))
    assert (chosen.key, chosen.index, chosen.metrics["accuracy"]) == ("abcd00000000", 1, 60.0)


def test_key_that_is_unknown_or_says_too_little_is_refused(trials, objectives) -> None:
    named = [replace(trials[0], key="abcd00000000"), replace(trials[1], key="abcd10000000")]
    with pytest.raises(UsageError, match="no evaluated network has this key"):
        select(named, objectives, Selection("key", key="ffff"))
    with pytest.raises(UsageError, match="is ambiguous: abcd00000000, abcd10000000; give more digits"):
        select(named, objectives, Selection("key", key="abcd"))


def test_what_nothing_meets_names_the_nearest(trials, objectives) -> None:
    with pytest.raises(UsageError, match=r"macs<=0.05: no network found meets it; the cheapest has 5.00 % at 0.1 M"):
        select(trials, objectives, Selection("macs", 0.05))
    with pytest.raises(UsageError, match=r"accuracy>=99: .* the most accurate has 90.00 % at 4 M"):
        select(trials, objectives, Selection("accuracy", 99.0))


def test_limits_of_the_search_are_respected(trials, objectives) -> None:
    limited = (objectives[0], replace(objectives[1], limit=3.5))
    assert select(trials, limited, Selection("best-accuracy")).number == 2
    with pytest.raises(UsageError, match="no network meets the limits"):
        select(trials, (objectives[0], replace(objectives[1], limit=0.05)), Selection("knee"))


def test_a_constraint_limits_the_knee_and_is_no_cost(timed, objectives) -> None:
    # Trials 2 and 1 are left, equally good by accuracy and MACs; as a cost, latency would prefer 1.
    assert select(timed, (*objectives, constraint("latency_ms <= 5")), Selection("knee")).number == 2


def test_nothing_completed_is_said(trials, objectives) -> None:
    with pytest.raises(UsageError, match="no trial was completed"):
        select([trials[3]], objectives, Selection("knee"))


def an_observation(number: int, accuracy: float, macs: float) -> Observation:
    return Observation(completed(number, "k", {}, {"accuracy": accuracy, "average_macs": macs}))


def test_the_most_accurate_network_within_a_budget_is_chosen() -> None:
    found = [an_observation(*row) for row in ((0, 80.0, 1.0), (1, 90.0, 2.0), (2, 90.0, 1.5), (3, 99.0, 2.1))]
    assert within_budget(found, 2.0, figures=figures_of).number == 2
    assert within_budget(found, 0.5, figures=figures_of).number == 0  # none keeps to it: the cheapest


def test_without_a_completed_trial_nothing_is_observed() -> None:
    with pytest.raises(UsageError, match="no trial was completed"):
        some_observations([Trial(0, "", "FAILED", {})])
