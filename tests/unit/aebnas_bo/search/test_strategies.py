"""What every strategy promises, whoever wrote it."""

from dataclasses import replace

import pytest

from aebnas_bo.errors import ConfigError
from aebnas_bo.search.search_loop import evaluate_trial, propose_trials
from aebnas_bo.search.sobol_strategy import SobolStrategy
from aebnas_bo.search.strategies import make_strategy
from aebnas_bo.space.search_space import ChoiceParameter, SearchSpace

NAMES = ["qnehvi", "sobol", "random", "aebnas"]


def run(estimator, objectives, settings, count, seed=0, trials=()):
    strategy = make_strategy(estimator.search_space, objectives, settings, seed=seed)
    trials = list(trials)
    while len(trials) < count:
        for trial in propose_trials(strategy, trials, settings)[: count - len(trials)]:
            trials.append(evaluate_trial(trial, estimator, objectives))
    return trials


def points(trials):
    return [trial.parameters for trial in trials]


def test_plain_networks_are_no_strategy(estimator, objectives, settings) -> None:
    plain = settings.model_copy(update={"strategy": "plain"})
    with pytest.raises(ConfigError, match=r"search.strategy: plain searches nothing; .*--methods plain"):
        make_strategy(estimator.search_space, objectives, plain, seed=0)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("batch_size", [1, 3])
def test_proposals_are_canonical_new_and_reproducible(name, batch_size, estimator, objectives, settings) -> None:
    settings = settings.model_copy(update={"strategy": name, "batch_size": batch_size})
    trials = run(estimator, objectives, settings, 13)
    space = estimator.search_space
    assert all(trial.status == "COMPLETED" and not trial.reason for trial in trials)
    assert points(trials) == [space.canonical(point) for point in points(trials)]
    assert len({space.key(point) for point in points(trials)}) == 13
    assert points(run(estimator, objectives, settings, 13)) == points(trials)
    assert points(run(estimator, objectives, settings, 13, seed=1)) != points(trials)
    assert points(run(estimator, objectives, settings, 13, trials=trials[:10])) == points(trials)


@pytest.mark.parametrize("name", NAMES)
def test_failed_trials_are_survived(name, estimator, objectives, settings) -> None:
    settings = settings.model_copy(update={"strategy": name})
    trials = run(estimator, objectives, settings, 9)
    trials = [replace(t, status="FAILED", metrics={}, sems={}) if t.number % 2 else t for t in trials]
    assert len(run(estimator, objectives, settings, 11, trials=trials)) == 11


@pytest.mark.slow
def test_ax_as_it_comes_finds_its_way(estimator, objectives, settings) -> None:
    settings = settings.model_copy(update={"strategy": "ax-default", "design_trials": 5, "batch_size": 2})
    trials = run(estimator, objectives, settings, 8)
    assert len(trials) == 8
    assert all(estimator.search_space.canonical(point) == point for point in points(trials))


def test_aebnas_learns_from_its_design(estimator, objectives, settings) -> None:
    from aebnas_bo.analysis.hypervolume import hypervolume

    learned, random = (
        run(estimator, objectives, settings.model_copy(update={"strategy": name, "batch_size": 4}), 32)
        for name in ("aebnas", "random")
    )
    assert points(learned)[:8] == points(random)[:8]
    assert hypervolume(learned, objectives) > hypervolume(random, objectives)


def test_aebnas_keeps_to_limits(estimator, objectives, settings) -> None:
    limited = [replace(o, limit=3.0) if o.name == "average_macs" else o for o in objectives]
    settings = settings.model_copy(update={"strategy": "aebnas", "batch_size": 4})

    def within(given) -> int:
        return sum(t.metrics["average_macs"] <= 3.0 for t in run(estimator, given, settings, 32)[16:])

    assert within(limited) > within(objectives)


def test_a_space_that_is_exhausted_is_searched_on(estimator, objectives) -> None:
    space = SearchSpace((ChoiceParameter("a", (0, 1)), ChoiceParameter("b", (0, 1))))
    proposals = SobolStrategy(space, 0).propose([], 6)
    assert len({space.key(proposal.parameters) for proposal in proposals}) == 4
