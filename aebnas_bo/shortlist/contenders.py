"""Which networks of a search are trained for a short time: the best by estimate for each goal."""

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

PLAIN_MACS = 1.2  # to a plain network's end, of a budget of average MACs: a part of the images leaves before
SEARCHED_SHARE = 0.2  # of a list, and at least one network, that estimates choose
LOWEST_BUDGET = 0.1  # of the highest, where several budgets are served
Score = tuple[float, float]


@dataclass(frozen=True)
class Contender:
    """A network of the short list.

    Args:
        architecture: The network.
        observations: The observation of it that meets each goal best.
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
    """Return how well figures meet a goal; larger is better.

    Args:
        goal: What counts.
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
    """Choose the short list: the goals take turns, each adding its best network by estimate that is not listed yet.

    Each goal's plain networks come first and take most of the list (`SEARCHED_SHARE`): estimates can be wrong, and no
    list may be worse than what a practitioner would have typed. For a budget of MACs they are, of each resolution, the
    plain network with exits whose MACs to its end are nearest to `PLAIN_MACS` times the budget, and the largest one
    that is within the budget if its exits are switched off. Their first exits must be within the budget; their
    estimates do not count. Budgets below `EXITS_FROM` are served by the largest network without exits within the
    budget, if there is any. For other goals it is the best by estimate. Networks that differ in thresholds alone count
    as one. If any network meets the limits of the search, only networks that do are chosen.

    Args:
        trials: All trials of a search.
        space: Its space.
        goals: What the networks are wanted for.
        count: Length of the list; fewer where the search found fewer networks.
        objectives: The metrics of the search with their limits.
        plain: The plain networks of the space.

    Raises:
        UsageError: If no trial was completed.
    """
    observed = eligible(trials, objectives)
    if not observed:
        raise UsageError("no trial was completed; there is nothing to choose from")
    best = [_best_by_network(observed, goal) for goal in goals]
    seen = [one for one in plain if one.key in best[0]]
    of_goals = [_plain_for(goal, seen, ranking=ranking, space=space) for goal, ranking in zip(goals, best, strict=True)]
    in_turn = chain.from_iterable(zip_longest(*reversed(of_goals)))
    most = max(count - max(int(SEARCHED_SHARE * count), 1), 1)
    chosen = list(dict.fromkeys(key for key in in_turn if key is not None))[:most]
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
    """Return the keys of the plain networks that a goal asks for, of some that were observed."""
    by_key = {one.key: one for one in plain}
    if goal.kind == "min_accuracy":
        of_sizes = [[by_key[key] for key in ranking if key in by_key]]
    else:
        costs = {key: exit_costs(one, space.skeleton) for key, one in by_key.items()}
        able = [one for one in plain if costs[one.key].cumulative[0] <= goal.value]
        static = [one for one in able if not one.active_exits]
        if goal.value < EXITS_FROM and static:
            of_sizes = [sorted(static, key=lambda one: -costs[one.key].cumulative[-1])]
        else:
            able, macs = [one for one in able if one.active_exits] or able, PLAIN_MACS * goal.value
            leaving = sorted(able, key=lambda one: abs(math.log(costs[one.key].cumulative[-1] / macs)))
            within = [one for one in able if costs[one.key].backbone[-1] <= goal.value]  # exits can be switched off
            of_sizes = [leaving, sorted(within, key=lambda one: -costs[one.key].backbone[-1])]
    resolutions = dict.fromkeys(one.resolution for one in plain)
    found = [next((one for one in ones if one.resolution == side), None) for side in resolutions for ones in of_sizes]
    return list(dict.fromkeys(one.key for one in found if one is not None))


def eligible(trials: Sequence[Trial], objectives: Sequence[Objective]) -> list[Observation]:
    """Return all observations that meet the limits of a search, or all of them where none does."""
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


def budget_goals(highest: float, count: int, cheapest: float = 0.0) -> list[TuningGoal]:
    """Return goals of most average MACs, evenly on a logarithmic scale down to a tenth, cheapest first.

    Args:
        highest: Highest budget in millions.
        count: Number of budgets.
        cheapest: Average MACs in millions that no network found falls below, nor any budget.
    """
    lowest = min(max(LOWEST_BUDGET, cheapest / highest), 1.0)
    shares = [lowest ** (step / max(count - 1, 1)) for step in reversed(range(count))]
    return [TuningGoal("max_macs", share * highest * MACS_PER_MILLION) for share in shares]
