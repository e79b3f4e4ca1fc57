"""Given points come first."""

from collections.abc import Sequence

from aebnas_bo.search.first_points import FirstPoints
from aebnas_bo.search.strategy import Proposal
from aebnas_bo.search.trial import Trial


class Counting:
    """Proposes the number of the trial."""

    def propose(self, trials: Sequence[Trial], count: int) -> list[Proposal]:
        return [Proposal({"x": number}) for number in range(len(trials), len(trials) + count)]


def test_given_points_come_first_and_then_the_strategys_own() -> None:
    strategy = FirstPoints([{"x": -1}, {"x": -2}], Counting())
    trials: list[Trial] = []
    for _ in range(4):
        [proposal] = strategy.propose(trials, 1)
        trials.append(Trial(len(trials), "", "COMPLETED", proposal.parameters))
    assert [trial.parameters["x"] for trial in trials] == [-1, -2, 2, 3]


def test_no_points_leave_a_strategy_as_it_is() -> None:
    assert FirstPoints([], Counting()).propose([], 2) == Counting().propose([], 2)
