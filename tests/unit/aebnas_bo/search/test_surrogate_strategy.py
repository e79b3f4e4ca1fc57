from dataclasses import replace

import pytest
import torch

from aebnas_bo.analysis.hypervolume import hypervolume
from aebnas_bo.analysis.pareto import admissible
from aebnas_bo.errors import OutOfMemoryError
from aebnas_bo.estimation.estimate import Measurement
from aebnas_bo.search import ax_strategy
from aebnas_bo.search.objectives import Objective
from aebnas_bo.search.random_strategy import RandomStrategy
from aebnas_bo.search.search_loop import evaluate_trial, propose_trials
from aebnas_bo.search.surrogate_strategy import SurrogateStrategy
from aebnas_bo.search.trial import Trial, observations
from tests.made_trials import with_metrics

pytestmark = pytest.mark.slow


def run(estimator, objectives, settings, count, trials=(), strategy=None, seed=0) -> list[Trial]:
    strategy = strategy or SurrogateStrategy(estimator.search_space, objectives, settings, seed=seed)
    trials = list(trials)
    while len(trials) < count:
        for trial in propose_trials(strategy, trials, settings)[: count - len(trials)]:
            assert not trial.reason
            trials.append(evaluate_trial(trial, estimator, objectives))
    return trials


def points(trials) -> list:
    return [trial.parameters for trial in trials]


def test_a_resumed_search_proposes_the_same(estimator, objectives, settings) -> None:
    whole = run(estimator, objectives, settings, 13)
    for told in (3, 11):
        assert points(run(estimator, objectives, settings, 13, whole[:told])) == points(whole), told


def test_a_resumed_search_with_further_settings_proposes_the_same(estimator, objectives, settings) -> None:
    estimator.has_further = True
    whole = run(estimator, objectives, settings, 13)
    assert any(len(trial.points) > 1 for trial in whole)
    for told in (3, 9, 11):
        assert points(run(estimator, objectives, settings, 13, whole[:told])) == points(whole), told


def test_further_settings_are_told_once_the_design_is_complete(estimator, objectives, settings) -> None:
    estimator.has_further = True
    plain = run(estimator, objectives, settings, 8)
    strategy = SurrogateStrategy(estimator.search_space, objectives, settings, seed=0)
    run(estimator, objectives, settings, 9, plain, strategy)
    told = [trial.arm.parameters for trial in strategy._client._client._experiment.trials.values()]
    expected = [trial.parameters for trial in plain]
    expected += [{**t.parameters, **point.thresholds} for t in plain for point in t.points[1:]]
    assert told[:-1] == expected  # the last one is the proposal


def test_a_failed_trial_does_not_break_resuming(estimator, objectives, settings) -> None:
    whole = run(estimator, objectives, settings, 6)
    whole[4] = replace(whole[4], status="FAILED", points=())
    strategy = SurrogateStrategy(estimator.search_space, objectives, settings, seed=0)
    one = run(estimator, objectives, settings, 13, whole, strategy)
    again = run(estimator, objectives, settings, 13, one[:10])
    assert points(one) == points(again)


def test_the_point_of_a_failed_trial_is_not_proposed_again(estimator, objectives, settings) -> None:
    estimator.fail_at = {3, 9, 10}
    trials = run(estimator, objectives, settings, 14)
    assert [trial.number for trial in trials if trial.status == "FAILED"] == [3, 9, 10]
    assert not any(trial.reason for trial in trials if trial.status == "COMPLETED")  # no proposal fell back


def test_proposals_are_canonical_and_distinct(estimator, objectives, settings) -> None:
    trials = run(estimator, objectives, settings, 14)
    space = estimator.search_space
    assert all(space.canonical(trial.parameters) == trial.parameters for trial in trials)
    assert len({space.key(trial.parameters) for trial in trials}) == 14


def test_seeds_differ(estimator, objectives, settings) -> None:
    assert points(run(estimator, objectives, settings, 3, seed=1)) != points(
        run(estimator, objectives, settings, 3, seed=2)
    )


def test_surrogates_beat_the_design(estimator, objectives, settings) -> None:
    guided = run(estimator, objectives, settings, 18)
    settings = settings.model_copy(update={"design_trials": 18})
    design = run(estimator, objectives, settings, 18)
    assert hypervolume(guided, objectives) > hypervolume(design, objectives)


def test_a_failing_model_falls_back_to_a_new_random_point(estimator, objectives, settings, monkeypatch) -> None:
    trials = run(estimator, objectives, settings, 9)

    def broken(*arguments, **options):
        raise torch.linalg.LinAlgError("not positive definite")

    monkeypatch.setattr("aebnas_bo.search.ax_strategy.maximize_acquisition", broken)
    proposals = [
        SurrogateStrategy(estimator.search_space, objectives, settings, seed=0).propose(trials, 1)[0] for _ in range(2)
    ]
    assert proposals[0].fallback == "drawn at random"
    assert "not positive definite" in proposals[0].reason
    assert proposals[0] == proposals[1]  # even a fallback is a pure function of what was told
    assert proposals[0].parameters not in points(trials)


@pytest.mark.parametrize(("failures", "fallback"), [(1, "second attempt"), (2, "surrogates not fitted")])
def test_a_failed_fit_is_tried_again_then_left_out(
    failures, fallback, estimator, objectives, settings, monkeypatch
) -> None:
    trials, calls = run(estimator, objectives, settings, 9), []
    sound = ax_strategy.fit_surrogate

    def broken(model, memory) -> None:
        calls.append(model)
        if len(calls) <= failures:
            raise RuntimeError("not positive definite")
        sound(model, memory)

    monkeypatch.setattr(ax_strategy, "fit_surrogate", broken)
    strategy = SurrogateStrategy(estimator.search_space, objectives, settings, seed=0)
    [proposal] = strategy.propose(trials, 1)
    assert (proposal.fallback, proposal.reason) == (fallback, "RuntimeError: not positive definite")
    assert estimator.search_space.key(proposal.parameters) not in {
        estimator.search_space.key(p) for p in points(trials)
    }
    assert len(calls) == 2
    trials.append(Trial(9, "key", "COMPLETED", proposal.parameters, points=trials[8].points))
    again = SurrogateStrategy(estimator.search_space, objectives, settings, seed=0)
    assert strategy.propose(trials, 1) == again.propose(trials, 1)  # the attempt left no trace


def test_a_lack_of_memory_proposes_no_other_point(estimator, objectives, settings, monkeypatch) -> None:
    def fail(*_, **__) -> None:
        raise MemoryError

    monkeypatch.setattr(SurrogateStrategy, "_attempt", fail)
    with pytest.raises(OutOfMemoryError, match="close programs"):
        SurrogateStrategy(estimator.search_space, objectives, settings, seed=0).propose([], 1)


def test_all_metrics_equal_does_not_stop_a_search(estimator, objectives, settings) -> None:
    trials = [with_metrics(trial, accuracy=50.0, average_macs=2.0) for trial in run(estimator, objectives, settings, 9)]
    [proposal] = SurrogateStrategy(estimator.search_space, objectives, settings, seed=0).propose(trials, 1)
    assert not proposal.fallback
    assert estimator.search_space.canonical(proposal.parameters) == proposal.parameters
    assert proposal.parameters not in points(trials)


def test_plain_qnehvi_by_configuration(estimator, objectives, settings) -> None:
    settings = settings.model_copy(update={"acquisition": "qnehvi"})
    assert len(run(estimator, objectives, settings, 11)) == 11


def test_a_search_in_batches_resumes_exactly(estimator, objectives, settings) -> None:
    estimator.has_further = True
    settings = settings.model_copy(update={"batch_size": 3})
    whole = run(estimator, objectives, settings, 17)
    space = estimator.search_space
    assert len({space.key(trial.parameters) for trial in whole}) == 17
    for told in (9, 12):
        assert points(run(estimator, objectives, settings, 17, whole[:told])) == points(whole), told


def test_a_batch_that_cannot_be_proposed_is_drawn_at_random(estimator, objectives, settings, monkeypatch) -> None:
    trials = run(estimator, objectives, settings, 8)
    monkeypatch.setattr("aebnas_bo.search.ax_strategy.maximize_acquisition", None)
    proposals = SurrogateStrategy(estimator.search_space, objectives, settings, seed=0).propose(trials, 4)
    assert [proposal.fallback for proposal in proposals] == ["drawn at random"] * 4
    keys = {estimator.search_space.key(point) for point in [*points(trials), *(p.parameters for p in proposals)]}
    assert len(keys) == 12


def test_limits_draw_the_search_to_admissible_points(estimator, objectives, settings) -> None:
    limited = (replace(objectives[0], limit=82.0), replace(objectives[1], limit=4.5))
    found = [[run(estimator, o, settings, 16, seed=seed)[8:] for seed in (0, 1)] for o in (objectives, limited)]
    counts = [sum(len(admissible(observations(trials), limited)) for trials in of_both) for of_both in found]
    assert counts[1] > 2 * counts[0]


def test_only_so_many_further_settings_are_told(estimator, objectives, settings, monkeypatch) -> None:
    monkeypatch.setattr("aebnas_bo.search.replayed_client.num_allowed", lambda num_trials: 3 * num_trials // 8)
    estimator.has_further = True
    plain = run(estimator, objectives, settings, 8)
    assert sum(len(trial.points) - 1 for trial in plain) > 3
    strategy = SurrogateStrategy(estimator.search_space, objectives, settings, seed=0)
    strategy.propose(plain, 1)
    assert len(strategy._client._client._experiment.trials) == 8 + 3 + 1


class ThreeMetrics:
    """The toy problem with milliseconds, which an exit saves as it saves MACs but genes of one stage cost alone."""

    def __init__(self, toy) -> None:
        self._toy, self.search_space = toy, toy.search_space

    def estimate(self, point):
        estimate = self._toy.estimate(point)
        share = 0.5 + 0.5 * float(point["exit1_threshold"]) if point["exit1_depth"] != 0 else 1.0
        milliseconds = share * (1.0 + 2.0 * int(point["gene0"]) + int(point["gene1"]))
        return replace(estimate, metrics={**estimate.metrics, "latency_ms": Measurement(milliseconds, 0.0)})


def test_three_objectives_are_searched_and_resumed_exactly(estimator, objectives, settings) -> None:
    problem, three = ThreeMetrics(estimator), (*objectives, Objective("latency_ms", False, 8.0, "ms", limit=6.0))
    found = run(problem, three, settings, 18)
    assert points(run(problem, three, settings, 18, found[:12])) == points(found)
    randomly = run_search_at_random(problem, three, settings)
    assert hypervolume(found, three) > hypervolume(randomly, three)


def run_search_at_random(problem, objectives, settings) -> list[Trial]:
    drawn = RandomStrategy(problem.search_space, 3).propose([], 18)
    started = [Trial(number, "", "RUNNING", proposal.parameters) for number, proposal in enumerate(drawn)]
    return [evaluate_trial(trial, problem, objectives) for trial in started]
