"""Budgets of average MACs for which a run trains networks, and the plain networks that its search begins with."""

from __future__ import annotations

from collections.abc import Sequence

from aebnas_bo.deploy.description import KEPT_SHARE
from aebnas_bo.early_exit.threshold_tuning import TuningGoal
from aebnas_bo.preparation.problem import Problem
from aebnas_bo.search.trial import Observation
from aebnas_bo.shortlist.contenders import budget_goals
from aebnas_bo.space.macs import millions
from aebnas_bo.space.network_space import NetworkSpace
from aebnas_bo.space.plain_points import first_points
from aebnas_bo.space.search_space import ParameterValue

LOWEST_OF_BACKBONE = 0.5  # lowest budget with a given backbone, relative to the highest


def budgets_of(problem: Problem, observed: Sequence[Observation]) -> list[TuningGoal]:
    """Return the budgets as goals of threshold tuning, cheapest first.

    The highest is the limit of the search. Without a limit, it is the highest average MACs of all trials or, with a
    given backbone, the lowest with which a trial keeps its accuracy: users of a trained network want to lose little.

    Args:
        problem: The space and the limit.
        observed: Observations of the search.
    """
    count, limit = problem.config.shortlist.budgets, problem.config.search.max_average_macs
    seen = [one.metrics["average_macs"] for one in observed]
    cheapest = min(seen, default=0.0)
    if problem.space.skeleton.given is None:
        return budget_goals(limit or max(seen, default=1.0), count, cheapest)
    highest = limit or _least_that_keep(problem.space, observed)
    return budget_goals(highest, count, cheapest, lowest=LOWEST_OF_BACKBONE)


def first_points_of(problem: Problem) -> list[dict[str, ParameterValue]]:
    """Return the plain networks that a search evaluates first, among them the largest within each budget."""
    config = problem.config
    limit = config.search.max_average_macs
    goals = [] if limit is None else budget_goals(limit, config.shortlist.budgets)
    return first_points(problem.space, config.search.most_first_points, [goal.value for goal in goals])


def _least_that_keep(space: NetworkSpace, observed: Sequence[Observation]) -> float:
    """Return the lowest average MACs in millions with which a trial keeps the accuracy of the given backbone."""
    without_exits = space.largest_without_exits
    original = next((one for one in observed if one.key == without_exits.key), None)
    if original is None:
        assert space.skeleton.given is not None
        return millions(space.skeleton.given.macs)
    least = KEPT_SHARE * original.metrics["accuracy"]
    return min(one.metrics["average_macs"] for one in observed if one.metrics["accuracy"] >= least)
