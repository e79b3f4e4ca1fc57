"""The simulation of short lists on a table: studies, and what both rules train."""

import itertools

import pytest
import torch

from aebnas_bo.estimation.tabular_estimator import TabularEstimator
from aebnas_bo.space.search_space import ChoiceParameter, SearchSpace
from benchmarks import two_fidelity_table as module
from benchmarks.two_fidelity_table import (
    Study,
    best_estimates,
    by_estimates,
    make_study,
    nearest_to_front,
    table,
    trained_by,
)
from surrogates.next_training import NextTrainings

MACS = torch.tensor([1.0, 1.0, 2.0, 3.0, 4.0, 4.0], dtype=torch.float64)
ESTIMATES = torch.tensor([50.0, 40.0, 45.0, 60.0, 70.0, 65.0], dtype=torch.float64)
ACCURACIES = torch.tensor([50.0, 55.0, 60.0, 58.0, 61.0, 63.0], dtype=torch.float64)
STUDY = Study(torch.zeros(6, 2, dtype=torch.float64), ESTIMATES, ACCURACIES, MACS)


def cells(sign: float) -> TabularEstimator:
    space = SearchSpace(tuple(ChoiceParameter(name, tuple("abcde"), is_ordered=False) for name in ("one", "two")))
    rows = {
        pair: {"accuracy": 50.0 + sign * (ord(pair[0]) - 97), "average_macs": 1.0 + ord(pair[1]) - 97}
        for pair in itertools.product("abcde", repeat=2)
    }
    return TabularEstimator(space, rows)


def test_budgets_take_turns_by_estimate() -> None:
    assert STUDY.budgets == [[0, 1], [0, 1, 2], [0, 1, 2, 3, 4, 5]]
    assert best_estimates(STUDY) == {0, 4}
    assert by_estimates(STUDY, 4) == [0, 4, 1, 2]


def test_the_result_is_the_best_trained_one_of_each_budget() -> None:
    assert STUDY.result([0, 2, 4]) == pytest.approx((50.0 + 60.0 + 61.0) / 3)
    assert STUDY.result(range(6)) == pytest.approx((55.0 + 60.0 + 63.0) / 3)


def test_fronts_are_peeled() -> None:
    # 0 (50 at 1), 3 (60 at 3) and 4 (70 at 4) are not dominated; without them 1, 2 and 5
    assert nearest_to_front(ESTIMATES, MACS, 6) == [0, 3, 4, 1, 2, 5]
    assert nearest_to_front(ESTIMATES, MACS, 2) == [0, 3]


def test_a_study_is_drawn_from_both_tables(monkeypatch) -> None:
    monkeypatch.setattr(module, "DRAWN", 25)
    monkeypatch.setattr(module, "NETWORKS", 10)
    exact = make_study(cells(1.0), cells(-1.0), noise=0.0, bias=0.0, seed=3)
    assert len(exact.X) == 10
    assert torch.equal(exact.estimates - 50.0, 50.0 - exact.accuracies)
    assert torch.equal(exact.accuracies, 50.0 - exact.X[:, 0])
    assert torch.equal(exact.macs, 1.0 + exact.X[:, 1])
    biased = make_study(cells(1.0), cells(-1.0), noise=0.0, bias=2.0, seed=3)
    plain, shifted = (
        {tuple(row): value for row, value in zip(one.X.tolist(), one.estimates.tolist(), strict=True)}
        for one in (exact, biased)
    )
    assert any(plain[row] != shifted[row] for row in plain.keys() & shifted.keys())
    again = make_study(cells(1.0), cells(-1.0), noise=0.0, bias=2.0, seed=3)
    assert torch.equal(biased.estimates, again.estimates)


def test_a_rule_begins_with_estimates_and_goes_on_with_the_surrogate(monkeypatch) -> None:
    seen: list[list[int]] = []

    def choose(observed, layout, contests, *, taken) -> NextTrainings:
        assert observed.mean[observed.is_trained].tolist() == ACCURACIES[list(taken)].tolist()
        assert observed.mean[~observed.is_trained].tolist() == ESTIMATES.tolist()
        seen.append(list(taken))
        return NextTrainings((max(set(range(6)) - set(taken)),), 0.5)

    monkeypatch.setattr(module, "choose_trainings", choose)
    monkeypatch.setattr(module, "NETWORKS", 6)
    assert trained_by("estimates", STUDY, cells(1.0), 4) == [0, 4, 1, 2]
    assert seen == []
    assert trained_by("surrogate from half", STUDY, cells(1.0), 4) == [0, 4, 5, 3]
    assert seen == [[0, 4], [0, 4, 5]]
    assert trained_by("surrogate from best", STUDY, cells(1.0), 3) == [0, 4, 5]


def test_differences_are_paired_by_seed() -> None:
    def row(rule: str, seed: int, accuracy: float) -> dict[str, str]:
        figures = {"tau": "0.5", "accuracy": str(accuracy), "best": "70"}
        names = {"estimates": "a", "trainings": "b", "noise": "1", "bias": "0", "count": "8"}
        return {**names, "rule": rule, "seed": str(seed), **figures}

    rows = [row("estimates", 0, 60.0), row("estimates", 1, 68.0), row("mine", 0, 63.0), row("mine", 1, 67.0)]
    lines = table(rows).splitlines()
    assert lines[2] == "| a | b | 1 | 0 | 8 | estimates | 2 | 0.50 | 6.00 | – | 0 | 0 |"
    assert lines[3] == "| a | b | 1 | 0 | 8 | mine | 2 | 0.50 | 5.00 | +1.00 ± 2.00 | 1 | 1 |"
