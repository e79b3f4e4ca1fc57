"""What every strategy promises, and what ours do beyond that."""

import sys
from dataclasses import replace
from importlib.util import find_spec

import pytest

from aebnas_bo.errors import ConfigError
from aebnas_bo.search import aebnas_strategy, strategy_registry
from aebnas_bo.search.search_loop import evaluate_trial, propose_trials
from aebnas_bo.search.sobol_strategy import SobolStrategy
from aebnas_bo.search.strategy_registry import make_strategy
from aebnas_bo.space.search_space import ChoiceParameter, SearchSpace
from aebnas_bo.study.running import MakeStrategy
from aebnas_bo.testing.strategy_contract import StrategyContract

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
    with pytest.raises(ConfigError, match=r"search.strategy: plain does not search; .*--methods plain"):
        make_strategy(estimator.search_space, objectives, plain, seed=0)


def test_a_strategy_whose_package_is_missing_names_its_extra(estimator, objectives, settings, monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "pymoo", None)
    monkeypatch.setattr(strategy_registry, "find_spec", lambda name: None if name == "pymoo" else find_spec(name))
    with pytest.raises(ConfigError, match=r"search.strategy: aebnas needs pymoo: .*'aebnas_bo\[nsga2\]'"):
        make_strategy(estimator.search_space, objectives, settings.model_copy(update={"strategy": "aebnas"}), seed=0)
    assert make_strategy(estimator.search_space, objectives, settings, seed=0) is not None


class TestContract(StrategyContract):
    design_trials = 4

    @pytest.fixture(params=NAMES)
    def make_strategy(self, request, settings, monkeypatch) -> MakeStrategy:
        monkeypatch.setattr(aebnas_strategy, "GENERATIONS", 3)
        monkeypatch.setattr(aebnas_strategy, "MOST_ITERATIONS", 50)
        quick = {"batch_size": self.batch_size, "design_trials": self.design_trials, "pool_size": 16, "rounds": 1}
        chosen = settings.model_copy(update={"strategy": request.param, **quick})
        return lambda space, objectives: make_strategy(space, objectives, chosen, seed=0)


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_seeds_differ(name, estimator, objectives, settings) -> None:
    settings = settings.model_copy(update={"strategy": name})
    first, other = (points(run(estimator, objectives, settings, 10, seed)) for seed in (0, 1))
    assert first != other
    assert first[8:] != other[8:]


@pytest.mark.slow
def test_ax_as_it_comes_finds_its_way(estimator, objectives, settings) -> None:
    settings = settings.model_copy(update={"strategy": "ax-default", "design_trials": 5, "batch_size": 2})
    trials = run(estimator, objectives, settings, 8)
    assert len(trials) == 8
    assert all(estimator.search_space.canonical(point) == point for point in points(trials))


@pytest.mark.slow
def test_aebnas_learns_from_its_design(estimator, objectives, settings) -> None:
    from aebnas_bo.analysis.hypervolume import hypervolume

    learned, random = (
        run(estimator, objectives, settings.model_copy(update={"strategy": name, "batch_size": 4}), 32)
        for name in ("aebnas", "random")
    )
    assert points(learned)[:8] == points(random)[:8]
    assert hypervolume(learned, objectives) > hypervolume(random, objectives)


@pytest.mark.slow
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
