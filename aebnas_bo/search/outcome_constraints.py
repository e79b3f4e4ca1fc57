"""Limits of a search as constraints on the surrogates' outcomes."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from torch import Tensor

from aebnas_bo.errors import UsageError
from aebnas_bo.search.objectives import Objective
from surrogates.feasibility import OutcomeConstraint


def outcome_constraints(
    limited: Sequence[Objective], of_experiment: tuple[Tensor, Tensor] | None, outcomes: Sequence[str]
) -> list[OutcomeConstraint]:
    """Return the limits of objectives, then the outcome constraints of an Ax experiment.

    The experiment does not know the limits of objectives: for it, a constraint on an objective is the reference point.

    Args:
        limited: Objectives with a limit. Those that are constraints are left out, as the experiment has them.
        of_experiment: Matrix `A`, `k x m` with one entry per row, and bounds `b`, `k x 1`, of the constraints
            `A y <= b`; `None` without any.
        outcomes: Names of the `m` outcomes.
    """
    found = [
        OutcomeConstraint(list(outcomes).index(one.name), one.sign, one.limit)
        for one in limited
        if one.limit is not None and not one.is_constraint
    ]
    if of_experiment is None:
        return found
    for weights, [bound] in zip(*(part.tolist() for part in of_experiment), strict=True):
        [(place, weight)] = [(place, weight) for place, weight in enumerate(weights) if weight]
        found.append(OutcomeConstraint(place, -math.copysign(1.0, weight), bound / weight))  # weight * outcome <= bound
    return found


def check_single_metrics(metrics: Iterable[Sequence[str]]) -> None:
    """Check that every outcome constraint of an Ax experiment limits one metric; Ax would ignore the others.

    Args:
        metrics: Names of the metrics of each constraint.

    Raises:
        UsageError: If a constraint has several.
    """
    for names in metrics:
        if len(names) > 1:
            raise UsageError(
                f"an outcome constraint on several metrics ({', '.join(names)}) is not supported by this strategy; "
                "report their sum as a metric of its own, and constrain that"
            )
