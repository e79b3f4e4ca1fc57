"""Choice of the networks of a search for short training: the best estimates for each goal, and plain networks."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain, zip_longest
from typing import Literal

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
PLAIN_SHARE = 0.75  # maximum fraction of plain networks on a short list chosen by estimates alone
BEGINNING_PLAIN_SHARE = 0.5  # the same where the surrogate chooses the rest of the list
FEWEST_FIRST = 3  # networks that are chosen before the surrogate chooses one
LOWEST_BUDGET = 0.1  # lowest of several budgets relative to the highest
# Networks to train fully by their estimates alone, relative to the budget: least average MACs, because estimates do not
# rank networks of different costs, and most MACs to the end, because larger networks are trained for fewer epochs.
LEAST_SPENT, MOST_TRAINED = 0.7, 2.0
# Standard errors of the difference by which its estimate must be above those of plain networks: the best of a hundred
# estimates is two or three too high by chance.
CLEARLY = 4.0
Score = tuple[float, float]
Origin = Literal["plain", "estimate", "surrogate"]
"""How a network came onto the list: as a plain one for a goal, by its estimate, or by the two-fidelity surrogate."""


@dataclass(frozen=True)
class Contender:
    """Candidate for short training.

    Args:
        architecture: The network.
        observations: Its best observation for each goal.
        macs: MACs to its end.
        is_plain: Whether it is a plain network.
        origin: How it came onto the list.
    """

    architecture: Architecture
    observations: Mapping[TuningGoal, Observation]
    macs: int
    is_plain: bool = False
    origin: Origin = "estimate"

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


@dataclass(frozen=True)
class Pool:
    """Networks of a search that may be on a short list.

    Args:
        plain: The plain networks for the goals; see `pool_of`.
        ranked: All networks: the goals take turns in adding their best estimated one that is not there yet.
        observed: All observations of the search, including those that miss its limits.
    """

    plain: tuple[Contender, ...]
    ranked: tuple[Contender, ...]
    observed: tuple[Observation, ...]

    def by_estimates(self, count: int, listed: Sequence[Contender] = ()) -> list[Contender]:
        """Return a list of at most `count` networks: those listed, then the best by estimate."""
        keys = {one.key for one in listed}
        return [*listed, *(one for one in self.ranked if one.key not in keys)][:count]

    def choose(self, count: int) -> list[Contender]:
        """Return the short list by estimates alone: plain networks take up to `PLAIN_SHARE` of it and come first."""
        return self.by_estimates(count, self.plain[: math.ceil(PLAIN_SHARE * count)])

    def beginning(self, goals: Sequence[TuningGoal], count: int) -> list[Contender]:
        """Return the networks that are trained before the surrogate chooses.

        Plain networks take up to `BEGINNING_PLAIN_SHARE` of the list. The best network of each goal by estimate
        follows, then further ones until there are `FEWEST_FIRST`.

        Args:
            goals: Goals of threshold tuning.
            count: Length of the whole list.
        """
        listed = list(self.plain[: math.ceil(BEGINNING_PLAIN_SHARE * count)])
        best = {one.key: one for one in (self.best(goal) for goal in goals)}
        listed += [one for key, one in best.items() if key not in {other.key for other in listed}]
        return self.by_estimates(min(count, max(len(listed), FEWEST_FIRST)), listed)

    def best(self, goal: TuningGoal) -> Contender:
        """Return the network with the best estimate for a goal."""
        return max(self.ranked, key=lambda one: observed_score(one.observations[goal], goal))

    def without_short_training(self, goal: TuningGoal) -> Contender:
        """Return the network for a goal where no short training decides.

        For a budget of MACs, this is the network with the best estimate among those that spend most of the budget on
        average and are not much larger; of equal ones the smallest, which trains fastest. It must be ahead of the plain
        networks among them by `CLEARLY` standard errors. Otherwise, and for other goals, it is the first plain network
        or, without any, the best estimate.

        Args:
            goal: The goal.
        """
        if goal.kind == "max_macs":
            able = [one for one in self.ranked if _spends_most(one, goal) and one.macs <= MOST_TRAINED * goal.value]
            able.sort(key=lambda one: (one.observations[goal].metrics["accuracy"], -one.macs), reverse=True)
            plain = next((one for one in able if one.is_plain), None)
            if able and (plain is None or _is_clearly_better(able[0], plain, goal)):
                return able[0]
        return self.choose(1)[0]


def _is_clearly_better(one: Contender, other: Contender, goal: TuningGoal) -> bool:
    seen = [contender.observations[goal] for contender in (one, other)]
    ahead = seen[0].metrics["accuracy"] - seen[1].metrics["accuracy"]
    return ahead > CLEARLY * math.hypot(*(observed.sems.get("accuracy", 0.0) for observed in seen))


def _spends_most(one: Contender, goal: TuningGoal) -> bool:
    average = MACS_PER_MILLION * one.observations[goal].metrics["average_macs"]
    return LEAST_SPENT * goal.value <= average <= goal.value


def pool_of(
    trials: Sequence[Trial],
    space: NetworkSpace,
    goals: Sequence[TuningGoal],
    *,
    objectives: Sequence[Objective],
    plain: Sequence[Architecture] = (),
) -> Pool:
    """Return the networks that may be on the short list, in order.

    Each goal's plain networks come first on the list: estimates can be wrong, and the result should not be worse than a
    hand-designed network. For a budget of MACs these are the largest plain network whose backbone is within the budget,
    so that it needs no exit, and for each resolution the one whose MACs to its end are nearest to `PLAIN_MACS` times
    the budget, if its first exit is within the budget. Exits are useful in training even where none is needed. Budgets
    below `EXITS_FROM` have the largest one without exits within the budget first, if there is any. For other goals it
    is the best by estimate of each resolution. Networks that differ only in thresholds count as one. If any network is
    feasible, only feasible ones are in the pool.

    Args:
        trials: All trials of a search.
        space: Its space.
        goals: Goals of threshold tuning.
        objectives: The metrics of the search with their limits.
        plain: The plain networks of the space.

    Raises:
        UsageError: If no trial was completed.
    """
    observed = eligible(trials, objectives)
    if not observed:
        raise UsageError("no trial was completed, so there is no network to select")
    best = [best_by_network(observed, goal) for goal in goals]
    seen = [one for one in plain if one.key in best[0]]
    of_goals = [_plain_for(goal, seen, ranking=ranking, space=space) for goal, ranking in zip(goals, best, strict=True)]
    plain_keys = {one.key for one in plain}
    known = {
        key: replace(_contender(key, best, space=space, goals=goals), is_plain=key in plain_keys) for key in best[0]
    }
    return Pool(
        plain=tuple(replace(known[key], origin="plain") for key in in_turn(of_goals)),
        ranked=tuple(known[key] for key in in_turn([list(ranking) for ranking in best])),
        observed=tuple(observations(trials)),
    )


def in_turn(rankings: Sequence[Sequence[str]]) -> list[str]:
    """Return the entries of all rankings: the rankings take turns in adding their best one that is not there yet."""
    return list(dict.fromkeys(key for key in chain.from_iterable(zip_longest(*rankings)) if key is not None))


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
    """Return the keys of the plain networks for a budget of average MACs; see `pool_of`."""
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


def best_by_network(observed: Sequence[Observation], goal: TuningGoal) -> dict[str, Observation]:
    """Return the best observation of each network for a goal, best network first."""
    best: dict[str, Observation] = {}
    for one in sorted(observed, key=lambda one: observed_score(one, goal), reverse=True):
        best.setdefault(one.key, one)
    return best


def observed_score(observed: Observation, goal: TuningGoal) -> Score:
    """Return the score of an observation for a goal; larger is better."""
    return score(goal, observed.metrics["accuracy"], MACS_PER_MILLION * observed.metrics["average_macs"])


def _contender(
    key: str, best: Sequence[Mapping[str, Observation]], *, space: NetworkSpace, goals: Sequence[TuningGoal]
) -> Contender:
    observed = {goal: of_goal[key] for goal, of_goal in zip(goals, best, strict=True)}
    architecture = space.architecture(observed[goals[0]].parameters)
    return Contender(architecture, observed, exit_costs(architecture, space.skeleton).cumulative[-1])


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
