"""Objectives and constraints of a study, from its configuration and the objects passed from Python."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from aebnas_bo.errors import ConfigError
from aebnas_bo.estimation.cost_objective import LATENCY, CostObjective, LatencyCost, limit_of
from aebnas_bo.estimation.latency import LatencyPrices
from aebnas_bo.preparation.problem import Problem
from aebnas_bo.search.objectives import Objective, Scale, constraint
from aebnas_bo.space.extremes import possible_macs
from aebnas_bo.space.macs import exit_costs, millions


def make_objectives(problem: Problem, latencies: LatencyPrices | None = None) -> tuple[Objective, ...]:
    """Return the objectives: accuracy (percent), average MACs (millions) and, with latencies, average milliseconds.

    A user's objective follows, then the constraints. Latency is a constraint if it has a limit and is no objective, and
    a user's objective if it has no reference.

    The default reference point is chance accuracy and the cost of the largest network without exits. Every trained
    network of moderate size dominates it.
    """
    config, space = problem.config, problem.space
    point, plain = config.search.reference_point, space.largest_without_exits
    largest = millions(exit_costs(plain, space.skeleton).cumulative[-1])
    accuracy = point.accuracy if point else 100.0 / space.skeleton.num_classes
    scale, (least, most) = config.search.cost_scale, possible_macs(space)
    objectives: tuple[Objective, ...] = (
        Objective(
            "accuracy", True, reference=accuracy, unit="%", limit=config.search.min_accuracy, bounds=(0.0, 100.0)
        ),
        Objective(
            "average_macs",
            False,
            reference=point.average_macs if point else largest,
            unit="M",
            limit=config.search.max_average_macs,
            possible=(millions(least), millions(most)),
            scale=scale,
        ),
    )
    if latencies is not None:
        slowest = LatencyCost(latencies).costs(plain, space.skeleton)[-1]
        reference = point.latency_ms if point and point.latency_ms is not None else slowest
        limit = config.search.max_latency_ms
        latency = Objective(LATENCY, False, reference, unit="ms", limit=limit, scale=scale)
        objectives += (replace(latency, is_constraint=LATENCY not in config.search.objectives),)
    own = [_own_objective(cost, scale) for cost in problem.own_costs]
    return (*objectives, *own, *config.search.limits)


def _own_objective(cost: CostObjective, scale: Scale) -> Objective:
    """Return the objective of a user's cost, or a constraint if it has no reference."""
    limit = limit_of(cost)
    if cost.reference is None:
        return constraint(f"{cost.name} <= {limit}", unit=cost.unit)
    return Objective(cost.name, False, cost.reference, unit=cost.unit, limit=limit, scale=scale)


def check_limits(problem: Problem) -> None:
    """Check that the metrics of `search.constraints` can be reported.

    Raises:
        ConfigError: If there is no estimator that reports them, or one has a limit already.
    """
    limits = problem.config.search.limits
    if limits and problem.config.estimation.estimator is None:
        raise ConfigError(
            f"search.constraints: a supernet reports no {limits[0].name}; pass an estimator that does to "
            "Study.create(estimator=...), or a cost with a limit to Study.create(objective=...), or remove the "
            "constraint"
        )
    own = {cost.name for cost in problem.own_costs}
    if repeated := [one.name for one in limits if one.name in own]:
        raise ConfigError(f"search.constraints: {repeated[0]} is the objective from Python; set its attribute limit")


def metrics_text(objectives: Sequence[Objective]) -> str:
    """Return the names of metrics for a message, and which are limited only."""
    return ", ".join(f"{one.name} (limited only)" if one.is_constraint else one.name for one in objectives)
