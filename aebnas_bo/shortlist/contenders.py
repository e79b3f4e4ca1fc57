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

PLAIN_MACS = 1.2  # to a plain network's end, of a budget of average MACs: a part of the images leaves before
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

    Each goal's plain networks come first and take up to half of the list: estimates can be wrong, and no list may be
    worse than what a practitioner would have typed. For a budget of MACs that is, of each resolution, the plain network
    with exits whose MACs to its end are nearest to `PLAIN_MACS` times the budget, if its first exit is within the
    budget, whatever its estimate; of budgets below `EXITS_FROM` the largest one without exits within the budget, if
    there is any. For other goals it is the best by estimate. Networks that differ in thresholds alone count as one. If
    any network meets the limits of the search, only networks that do are chosen.

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
    in_turn = chain.from_iterable(zip_longest(*of_goals))
    chosen = list(dict.fromkeys(key for key in in_turn if key is not None))[: math.ceil(count / 2)]
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
    """Return the keys of the plain networks that a goal asks for, of some that were observed: one per resolution."""
    by_key = {one.key: one for one in plain}
    if goal.kind == "min_accuracy":
        in_order = [by_key[key] for key in ranking if key in by_key]
    else:
        costs = {key: exit_costs(one, space.skeleton).cumulative for key, one in by_key.items()}
        able = [one for one in plain if costs[one.key][0] <= goal.value]
        static = [one for one in able if not one.active_exits]
        if goal.value < EXITS_FROM and static:
            in_order = sorted(static, key=lambda one: -costs[one.key][-1])
        else:
            able = [one for one in able if one.active_exits] or able
            in_order = sorted(able, key=lambda one: abs(math.log(costs[one.key][-1] / (PLAIN_MACS * goal.value))))
    first: dict[int, str] = {}
    for one in in_order:
        first.setdefault(one.resolution, one.key)
    return list(first.values())


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
