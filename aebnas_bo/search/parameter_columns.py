"""Column layout of encoded points and what is known of outcomes, as the surrogates need them."""

from __future__ import annotations

from typing import cast

from aebnas_bo.search.objectives import Objective
from aebnas_bo.space.search_space import ChoiceParameter, ContinuousParameter, Parameter, SearchSpace
from surrogates.columns import Column, ColumnLayout
from surrogates.outcomes import Outcome


def column_layout(space: SearchSpace) -> ColumnLayout:
    """Return the layout of Ax's transformed `X`: choices are level indices, ranges have their natural values."""
    return ColumnLayout(tuple(_column(space, parameter) for parameter in space.parameters))


def known_outcome(objective: Objective) -> Outcome:
    """Return what surrogates know of an objective's metric.

    The worse tail of an unbounded cost is not compressed: a cost is nearly a sum over the parts of a network, which a
    compressed scale would hide. Of a constraint, it is: far beyond the limit, values make no difference.
    """
    is_cost = not objective.maximize and objective.bounds is None and not objective.is_constraint
    return Outcome(objective.bounds, 0.0 if is_cost else objective.sign)


def _column(space: SearchSpace, parameter: Parameter) -> Column:
    condition = parameter.active_when
    parent: int | None = None
    parent_levels: tuple[int, ...] = ()
    if condition is not None:
        parent = space.names.index(condition.parameter)
        choice = cast(ChoiceParameter, space.parameters[parent])  # checked by SearchSpace
        parent_levels = tuple(choice.values.index(value) for value in condition.values)
    group = parameter.group or parameter.name
    gates = tuple(space.names.index(name) for name in parameter.behind)
    if isinstance(parameter, ContinuousParameter):
        lower, upper = parameter.lower, parameter.upper
        return Column(parameter.name, group, lower, upper, False, True, upper, parent, parent_levels, gates)
    return Column(
        parameter.name,
        group,
        lower=0.0,
        upper=float(len(parameter.values) - 1),
        is_discrete=True,
        is_ordered=parameter.is_ordered,
        parent=parent,
        parent_levels=parent_levels,
        gates=gates,
        kind=_kind(parameter),
    )


def _kind(parameter: ChoiceParameter) -> str:
    """Return what choices with equal values have in common."""
    return f"{'ordered' if parameter.is_ordered else 'unordered'} {list(parameter.values)}"
