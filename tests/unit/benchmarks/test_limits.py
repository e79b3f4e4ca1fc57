"""Limits that few points meet, and the proposals until one does."""

from pathlib import Path

import pytest

from aebnas_bo.search.objectives import misses
from benchmarks import limits
from benchmarks.limits import HEADER, print_shares, proposals_needed, strict_limit, with_limits
from benchmarks.methods import methods
from benchmarks.problem import load_problem

TABLE = Path(__file__).resolve().parents[3] / "docs" / "examples" / "digits_table.csv"


@pytest.fixture(scope="module")
def limited():
    return with_limits(load_problem(f"table:{TABLE}"))


def test_at_most_a_hundredth_meets_a_limit() -> None:
    assert strict_limit(range(300)) == 297.0
    assert strict_limit([*range(290), *[400.0] * 8, 500.0, 501.0]) == 500.0  # 400 would be too frequent
    assert strict_limit([1.0] * 9 + [2.0] * 9) == 2.0


def test_each_metric_is_limited(limited) -> None:
    assert [[one.name for one in problem.objectives if one.limit is not None] for problem in limited] == [
        ["accuracy"], ["average_macs"]
    ]  # fmt: skip
    for problem in limited:
        rows = problem.estimator.rows.values()
        met = [row for row in rows if not misses(row, problem.objectives)]
        assert 0 < len(met) <= 0.01 * len(rows)


def test_constraints_of_a_problem_stay(monkeypatch) -> None:
    monkeypatch.setattr(limits, "NUM_POINTS", 64)
    first, _ = with_limits(load_problem("function/c2-dtlz2"))
    assert [one.limit is not None for one in first.objectives] == [True, False, True]


@pytest.mark.slow
def test_our_search_meets_a_limit_that_random_points_miss(limited) -> None:
    needed = proposals_needed(limited[1], methods()["qnehvi"], seed=100)
    assert needed is not None
    assert 0 <= needed <= 10
    assert proposals_needed(limited[0], methods()["random"], seed=100) is None


def test_shares_of_seeds(capsys) -> None:
    values = [
        ("digits", "ours", "accuracy", "97", str(seed), found) for seed, found in enumerate(("4", "not met", "0"))
    ]
    print_shares([dict(zip(HEADER, row, strict=True)) for row in values])
    assert "| digits | ours | accuracy 97 | 2 of 3 | 0, 4 |" in capsys.readouterr().out
