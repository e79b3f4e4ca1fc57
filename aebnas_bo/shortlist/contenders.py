"""Choice of the networks of a search for short training: the best estimates for each goal, and plain networks."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain, zip_longest

import torch

from aebnas_bo.analysis.pareto import admissible
from aebnas_bo.early_exit.threshold_tuning import TuningGoal
from aebnas_bo.errors import UsageError
from aebnas_bo.search.objectives import Objective
from aebnas_bo.search.trial import Observation, Trial, observations
from aebnas_bo.space.architecture import Architecture
from aebnas_bo.space.macs import MACS_PER_MILLION, exit_costs
from aebnas_bo.space.network_space import NetworkSpace
from aebnas_bo.space.plain_points import EXITS_FROM

PLAIN_MACS = 1.2  # MACs of a whole plain network relative to the budget of average MACs: some images exit early
PLAIN_SHARE = 0.75  # maximum fraction of plain networks on the short list
LOWEST_BUDGET = 0.1  # lowest of several budgets relative to the highest
Score = tuple[float, float]


@dataclass(frozen=True)
class Contender:
    """Candidate for short training.

    Args:
        architecture: The network.
        observations: Its best observation for each goal.
        is_plain: Whether it is a plain network.
    """

    architecture: Architecture
    observations: Mapping[TuningGoal, Observation]
    is_plain: bool = False

    @property
    def key(self) -> str:
        """Key of the architecture."""
        return next(iter(self.observations.values())).key


def score(goal: TuningGoal, accuracy: float, average_macs: float) -> Score:
    """Return a score of accuracy and MACs for a goal; larger is better.

    Args:
        goal: The tuning goal.
        accuracy: Accuracy in percent.
        average_macs: Average MACs of an image.
    """
    first, second = goal.scores(
        torch.tensor([accuracy], dtype=torch.float64), torch.tensor([average_macs], dtype=torch.float64)
    )
    return float(first), float(second)


def choose_contenders(
    trials: Sequence[Trial],
    space: NetworkSpace,
    goals: Sequence[TuningGoal],
    *,
    count: int,
    objectives: Sequence[Objective],
    plain: Sequence[Architecture] = (),
) -> list[Contender]:
    """Choose the short list: the goals take turns in adding their best estimated network that is not listed yet.

    Each goal's plain networks come first and take up to `PLAIN_SHARE` of the list: estimates can be wrong, and the
    result should not be worse than a hand-designed network. For a budget of MACs these are the largest plain network
    whose backbone is within the budget, so that it needs no exit, and for each resolution the one whose MACs to its end
    are nearest to `PLAIN_MACS` times the budget, if its first exit is within the budget. Exits are useful in training
    even where none is needed. Budgets below `EXITS_FROM` have the largest one without exits within the budget first, if
    there is any. For other goals it is the best by estimate of each resolution. Networks that differ only in thresholds
    count as one. If any network is feasible, only feasible ones are chosen.

    Args:
        trials: All trials of a search.
        space: Its space.
        goals: Goals of threshold tuning.
        count: Length of the list; it is shorter if the search found fewer networks.
        objectives: The metrics of the search with their limits.
        plain: The plain networks of the space.

    Raises:
        UsageError: If no trial was completed.
    """
    observed = eligible(trials, objectives)
    if not observed:
        raise UsageError("no trial was completed, so there is no network to select")
    best = [_best_by_network(observed, goal) for goal in goals]
    seen = [one for one in plain if one.key in best[0]]
    of_goals = [_plain_for(goal, seen, ranking=ranking, space=space) for goal, ranking in zip(goals, best, strict=True)]
    in_turn = chain.from_iterable(zip_longest(*of_goals))
    chosen = list(dict.fromkeys(key for key in in_turn if key is not None))[: math.ceil(PLAIN_SHARE * count)]
    for place in range(len(best[0])):
        for ranking in best:
            key = list(ranking)[place]
            if key not in chosen and len(chosen) < count:
                chosen.append(key)
    plain_keys = {one.key for one in plain}
    return [replace(_contender(key, best, space=space, goals=goals), is_plain=key in plain_keys) for key in chosen]


def _plain_for(
    goal: TuningGoal, plain: Sequence[Architecture], *, ranking: Mapping[str, Observation], space: NetworkSpace
) -> list[str]:
    """Return the keys of the observed plain networks for a goal, best first."""
    if goal.kind == "max_macs":
        return _plain_within(goal.value, plain, space=space)
    by_key = {one.key: one for one in plain}
    in_order = [by_key[key] for key in ranking if key in by_key]
    return [one.key for one in _first_of_each_resolution(in_order)]


def _plain_within(budget: float, plain: Sequence[Architecture], *, space: NetworkSpace) -> list[str]:
    """Return the keys of the plain networks for a budget of average MACs; see `choose_contenders`."""
    costs = {one.key: exit_costs(one, space.skeleton).cumulative for one in plain}

    def largest_first(one: Architecture) -> float:
        return -costs[one.key][-1]

    def by_distance(one: Architecture) -> float:
        return abs(math.log(costs[one.key][-1] / (PLAIN_MACS * budget)))

    able = [one for one in plain if costs[one.key][0] <= budget]
    static = [one for one in able if not one.active_exits]
    if budget < EXITS_FROM and static:
        return [one.key for one in _first_of_each_resolution(sorted(static, key=largest_first))]
    able = [one for one in able if one.active_exits] or able
    nearest = _first_of_each_resolution(sorted(able, key=by_distance))
    fitting = [one for one in able if exit_costs(one, space.skeleton).backbone[-1] <= budget]  # its exits switched off
    within = sorted(fitting, key=largest_first)
    return list(dict.fromkeys(one.key for one in (*within[:1], *nearest)))


def _first_of_each_resolution(networks: Sequence[Architecture]) -> list[Architecture]:
    first: dict[int, Architecture] = {}
    for one in networks:
        first.setdefault(one.resolution, one)
    return list(first.values())


def eligible(trials: Sequence[Trial], objectives: Sequence[Objective]) -> list[Observation]:
    """Return the feasible observations, or all observations if none is feasible."""
    observed = observations(trials)
    return admissible(observed, objectives) or observed


def _best_by_network(observed: Sequence[Observation], goal: TuningGoal) -> dict[str, Observation]:
    """Return the best observation of each network for a goal, best network first."""

    def merit(one: Observation) -> Score:
        return score(goal, one.metrics["accuracy"], MACS_PER_MILLION * one.metrics["average_macs"])

    best: dict[str, Observation] = {}
    for one in sorted(observed, key=merit, reverse=True):
        best.setdefault(one.key, one)
    return best


def _contender(
    key: str, best: Sequence[Mapping[str, Observation]], *, space: NetworkSpace, goals: Sequence[TuningGoal]
) -> Contender:
    observed = {goal: of_goal[key] for goal, of_goal in zip(goals, best, strict=True)}
    return Contender(space.architecture(observed[goals[0]].parameters), observed)


def budget_goals(
    highest: float, count: int, cheapest: float = 0.0, *, lowest: float = LOWEST_BUDGET
) -> list[TuningGoal]:
    """Return goals with limits of average MACs, evenly on a log scale, cheapest first.

    Args:
        highest: Highest budget in millions.
        count: Number of budgets.
        cheapest: Average MACs in millions of the cheapest network found; no budget is below it.
        lowest: Lowest budget relative to the highest.
    """
    least = min(max(lowest, cheapest / highest), 1.0)
    shares = [least ** (step / max(count - 1, 1)) for step in reversed(range(count))]
    return [TuningGoal("max_macs", share * highest * MACS_PER_MILLION) for share in shares]
