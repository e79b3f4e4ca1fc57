"""Contract tests for `Strategy`: inherit the class and define the fixture `make_strategy`."""

from __future__ import annotations

import math
from collections.abc import Sequence

from aebnas_bo.estimation.estimate import OperatingPoint
from aebnas_bo.search.objectives import Objective
from aebnas_bo.search.strategy import Strategy
from aebnas_bo.search.trial import Trial
from aebnas_bo.space.search_space import ChoiceParameter, Condition, ContinuousParameter, Point, SearchSpace
from aebnas_bo.study.running import MakeStrategy

HAS_EXIT = Condition("exit1_depth", (1, 2))
SPACE = SearchSpace(
    (
        *(ChoiceParameter(f"stage{number}_width", (8, 12, 16, 24)) for number in (1, 2, 3)),
        ChoiceParameter("exit1_depth", (0, 1, 2)),
        ChoiceParameter("exit1_kind", ("dense", "depthwise_separable"), is_ordered=False, active_when=HAS_EXIT),
        ContinuousParameter("exit1_threshold", active_when=HAS_EXIT),
    )
)
OBJECTIVES = (Objective("accuracy", True, 10.0, "%"), Objective("average_macs", False, 100.0, "M"))


class StrategyContract:
    """Contract tests for an implementation of `Strategy`.

    The fixture `make_strategy` returns a value for `Study.create(strategy=...)`: a function or class that constructs a
    strategy from a space and its objectives. Two strategies constructed with equal arguments must make equal proposals.

    Attributes:
        design_trials: Number of initial trials before the strategy uses results; the tests run a few more.
        batch_size: Maximum number of points that the tests request at once.
    """

    design_trials = 8
    batch_size = 3

    def test_proposals_are_as_many_as_asked_for_and_canonical(self, make_strategy: MakeStrategy) -> None:
        """Each call returns `count` points of the space in canonical form, before and after the design."""
        trials = run_trials(make_strategy(SPACE, OBJECTIVES), self.design_trials)
        for earlier in ([], trials):
            for count in (1, self.batch_size):
                proposals = make_strategy(SPACE, OBJECTIVES).propose(earlier, count)
                assert len(proposals) == count
                assert all(SPACE.canonical(one.parameters) == one.parameters for one in proposals)

    def test_no_point_is_proposed_twice(self, make_strategy: MakeStrategy) -> None:
        """Points are distinct within and between batches, as long as the space has other points."""
        strategy = make_strategy(SPACE, OBJECTIVES)
        trials = run_trials(strategy, self.design_trials)
        trials = run_trials(strategy, self.design_trials + 2 * self.batch_size, trials, batch_size=self.batch_size)
        assert len({SPACE.key(trial.parameters) for trial in trials}) == len(trials)

    def test_proposals_depend_on_earlier_trials_only(self, make_strategy: MakeStrategy) -> None:
        """A strategy that made proposals before and a new one make equal proposals, so that a study can be resumed."""
        strategy = make_strategy(SPACE, OBJECTIVES)
        trials = run_trials(strategy, self.design_trials + 2)
        first, again = (strategy.propose(trials, 1) for _ in range(2))
        assert first == again == make_strategy(SPACE, OBJECTIVES).propose(trials, 1)

    def test_points_of_running_trials_are_not_proposed_again(self, make_strategy: MakeStrategy) -> None:
        """In an asynchronous study some trials run; the proposal is new, and depends only on what was passed."""
        trials = run_trials(make_strategy(SPACE, OBJECTIVES), self.design_trials + 2)
        earlier = [running(one) if one.number >= self.design_trials - 1 else one for one in trials]
        [proposal] = make_strategy(SPACE, OBJECTIVES).propose(earlier, 1)
        assert SPACE.key(proposal.parameters) not in {SPACE.key(one.parameters) for one in trials}
        assert [proposal] == make_strategy(SPACE, OBJECTIVES).propose(earlier, 1)

    def test_failed_trials_are_no_obstacle(self, make_strategy: MakeStrategy) -> None:
        """A failed trial has no metrics; some or all may have failed."""
        trials = run_trials(make_strategy(SPACE, OBJECTIVES), self.design_trials)
        for earlier in ([*map(failed, trials[::2]), *trials[1::2]], [*map(failed, trials)]):
            earlier.sort(key=lambda trial: trial.number)
            [proposal] = make_strategy(SPACE, OBJECTIVES).propose(earlier, 1)
            SPACE.validate(proposal.parameters)


def run_trials(
    strategy: Strategy, num_trials: int, trials: Sequence[Trial] = (), *, batch_size: int = 1
) -> list[Trial]:
    """Run a search until it has at least the given number of trials, all completed.

    Args:
        strategy: Strategy for points of `SPACE`.
        num_trials: Total number of trials.
        trials: Earlier trials.
        batch_size: Number of points proposed together.
    """
    done = list(trials)
    while len(done) < num_trials:
        for proposal in strategy.propose(list(done), batch_size):
            done.append(completed(len(done), proposal.parameters))
    return done


def completed(number: int, point: Point) -> Trial:
    """Return a trial with synthetic results: width costs more with diminishing returns, and an exit saves cost."""
    widths = sum(int(point[f"stage{stage}_width"]) for stage in (1, 2, 3))
    accuracy, macs = 100.0 * (1.0 - math.exp(-widths / 20.0)), float(widths)
    if point["exit1_depth"] != 0:
        threshold = float(point["exit1_threshold"])
        accuracy, macs = accuracy - 20.0 * (1.0 - threshold) ** 2, macs * (0.5 + 0.5 * threshold)
    metrics = {"accuracy": accuracy, "average_macs": macs}
    seen = OperatingPoint(metrics, dict.fromkeys(metrics, 0.1))
    return Trial(number, SPACE.key(point), "COMPLETED", dict(point), points=(seen,))


def running(trial: Trial) -> Trial:
    """Return a trial whose evaluation has not ended."""
    return Trial(trial.number, "", "RUNNING", trial.parameters)


def failed(trial: Trial) -> Trial:
    """Return a trial with a failed evaluation."""
    return Trial(trial.number, "", "FAILED", trial.parameters, reason="RuntimeError: made to fail")
