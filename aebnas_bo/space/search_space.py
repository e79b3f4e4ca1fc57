"""A flat space of choices and ranges with conditions, and its canonical form.

Nothing here knows of networks: the same class describes a table of choices. A parameter may depend on another
one (`active_when`); switched off, it takes one fixed value, so that points that mean the same are equal.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from aebnas_bo.errors import SearchSpaceError
from aebnas_bo.space.architecture import content_key

ParameterValue = int | float | str | bool
Point = Mapping[str, ParameterValue]


@dataclass(frozen=True)
class Condition:
    """Holds where the parent parameter is itself active and has one of these values."""

    parameter: str
    values: tuple[ParameterValue, ...]


@dataclass(frozen=True)
class ChoiceParameter:
    """A parameter with finitely many values.

    Args:
        name: Name, also the column in every table.
        values: At least two distinct values, ascending if they are numbers; the first is the fixed value while switched
            off.
        is_ordered: Whether neighbouring values resemble each other.
        group: Parameters of one group share a length-scale in the surrogates.
        active_when: When it matters; always if `None`.
        behind: Names of the thresholds that stand before it: the lower one of them is, the fewer images get here.
    """

    name: str
    values: tuple[ParameterValue, ...]
    is_ordered: bool = True
    group: str = ""
    active_when: Condition | None = None
    behind: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if len(self.values) < 2 or len(set(self.values)) != len(self.values):
            raise SearchSpaceError(f"{self.name}: needs at least two distinct values, got {list(self.values)}")
        numbers = [value for value in self.values if not isinstance(value, str)]
        if len(numbers) == len(self.values) and numbers != sorted(numbers):
            raise SearchSpaceError(f"{self.name}: numbers must be ascending, got {numbers}; give {sorted(numbers)}")

    @property
    def inactive_value(self) -> ParameterValue:
        """Value it takes while switched off."""
        return self.values[0]


@dataclass(frozen=True)
class ContinuousParameter:
    """A parameter in a closed interval; `upper` is its fixed value while switched off. See `ChoiceParameter`."""

    name: str
    lower: float = 0.0
    upper: float = 1.0
    group: str = ""
    active_when: Condition | None = None
    behind: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not (math.isfinite(self.lower) and math.isfinite(self.upper) and self.lower < self.upper):
            raise SearchSpaceError(f"{self.name}: needs finite lower < upper, got [{self.lower}, {self.upper}]")

    @property
    def inactive_value(self) -> float:
        """Value it takes while switched off."""
        return self.upper


Parameter = ChoiceParameter | ContinuousParameter


@dataclass(frozen=True)
class SearchSpace:
    """An ordered set of parameters, parents before their children.

    Args:
        parameters: The parameters; their order is the order of every encoding.

    Raises:
        SearchSpaceError: If names repeat, a condition names no earlier choice or no value of it, or a parameter is
            behind one that is not a range within [0, 1].
    """

    parameters: tuple[Parameter, ...]
    _index: dict[str, int] = field(init=False, repr=False, compare=False, default_factory=dict)

    def __post_init__(self) -> None:
        if not self.parameters:
            raise SearchSpaceError(
                "the search space has no parameter that varies; give at least one of them two choices"
            )
        for position, parameter in enumerate(self.parameters):
            if parameter.name in self._index:
                raise SearchSpaceError(f"{parameter.name}: declared twice")
            self._check_condition(parameter)
            self._index[parameter.name] = position
        thresholds = {
            p.name for p in self.parameters if isinstance(p, ContinuousParameter) and p.lower >= 0.0 and p.upper <= 1.0
        }
        for parameter in self.parameters:
            unknown = set(parameter.behind) - thresholds
            if unknown:
                raise SearchSpaceError(f"{parameter.name}: behind {sorted(unknown)}, not thresholds within [0, 1]")

    def _check_condition(self, parameter: Parameter) -> None:
        condition = parameter.active_when
        if condition is None:
            return
        parent = self.parameters[self._index[condition.parameter]] if condition.parameter in self._index else None
        if not isinstance(parent, ChoiceParameter):
            raise SearchSpaceError(
                f"{parameter.name}: depends on {condition.parameter!r}, which is not a choice declared before it"
            )
        unknown = [value for value in condition.values if value not in parent.values]
        if unknown or not condition.values:
            raise SearchSpaceError(
                f"{parameter.name}: depends on {condition.parameter} being {list(condition.values)}; "
                f"its values are {list(parent.values)}"
            )

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Names of all parameters in order."""
        return tuple(parameter.name for parameter in self.parameters)

    def __getitem__(self, name: str) -> Parameter:
        return self.parameters[self._index[name]]

    def validate(self, point: Point) -> None:
        """Check that every parameter is there, known and within its choices or range.

        Raises:
            SearchSpaceError: With one sentence per problem.
        """
        problems = [f"{name}: missing" for name in self.names if name not in point]
        problems += [f"{name}: no such parameter in this space" for name in point if name not in self._index]
        for parameter in self.parameters:
            value = point.get(parameter.name)
            if value is None:
                continue
            if isinstance(parameter, ChoiceParameter):
                if value not in parameter.values:
                    problems.append(f"{parameter.name}: must be one of {list(parameter.values)}, got {value!r}")
            elif isinstance(value, str | bool) or not parameter.lower <= value <= parameter.upper:
                problems.append(
                    f"{parameter.name}: must be a number in [{parameter.lower}, {parameter.upper}], got {value!r}"
                )
        if problems:
            raise SearchSpaceError(problems)

    def canonical(self, point: Point) -> dict[str, ParameterValue]:
        """Return the point with every switched-off parameter at its fixed value, in the space's order.

        Raises:
            SearchSpaceError: If the point does not belong to the space.
        """
        self.validate(point)
        is_active: dict[str, bool] = {}
        canonical: dict[str, ParameterValue] = {}
        for parameter in self.parameters:
            condition = parameter.active_when
            active = condition is None or (
                is_active[condition.parameter] and canonical[condition.parameter] in condition.values
            )
            is_active[parameter.name] = active
            canonical[parameter.name] = (
                self._native(parameter, point[parameter.name]) if active else parameter.inactive_value
            )
        return canonical

    @staticmethod
    def _native(parameter: Parameter, value: ParameterValue) -> ParameterValue:
        """Return the declared object for an equal value (1 for 1.0, True for 1, 0.0 for -0.0), so that keys agree."""
        if isinstance(parameter, ChoiceParameter):
            return parameter.values[parameter.values.index(value)]
        return float(value) + 0.0  # -0.0 + 0.0 is 0.0

    def key(self, point: Point) -> str:
        """Return the key of a point: equal for points with equal canonical form."""
        return content_key(self.canonical(point))

    @cached_property
    def num_discrete(self) -> int:
        """Number of canonical combinations of the choices (ranges such as thresholds not counted)."""
        children: dict[str | None, list[ChoiceParameter]] = {}
        for parameter in self.parameters:
            if isinstance(parameter, ChoiceParameter):
                parent = parameter.active_when.parameter if parameter.active_when else None
                children.setdefault(parent, []).append(parameter)

        def count(parameter: ChoiceParameter) -> int:
            # Given a parent's value its children are independent, so their counts multiply.
            return sum(
                math.prod(
                    count(child)
                    for child in children.get(parameter.name, [])
                    if child.active_when is not None and value in child.active_when.values
                )
                for value in parameter.values
            )

        return math.prod(count(root) for root in children.get(None, []))

    @property
    def num_points(self) -> int | None:
        """Number of canonical points; `None` if there are ranges, which have any number of values."""
        return self.num_discrete if all(isinstance(one, ChoiceParameter) for one in self.parameters) else None

    def encode(self, point: Point) -> np.ndarray:
        """Return the canonical point as `d` floats: level index of a choice, natural value of a range."""
        canonical = self.canonical(point)
        return np.array(
            [
                parameter.values.index(canonical[parameter.name])
                if isinstance(parameter, ChoiceParameter)
                else float(canonical[parameter.name])
                for parameter in self.parameters
            ],
            dtype=np.float64,
        )

    def decode(self, row: np.ndarray) -> dict[str, ParameterValue]:
        """Return the canonical point of `d` floats as written by `encode`; levels are rounded, ranges clipped."""
        if row.shape != (len(self.parameters),):
            raise SearchSpaceError(f"expected a row of {len(self.parameters)} numbers, got shape {row.shape}")
        point: dict[str, ParameterValue] = {}
        for parameter, number in zip(self.parameters, row.tolist(), strict=True):
            if isinstance(parameter, ChoiceParameter):
                level = min(max(round(number), 0), len(parameter.values) - 1)
                point[parameter.name] = parameter.values[level]
            else:
                point[parameter.name] = min(max(number, parameter.lower), parameter.upper)
        return self.canonical(point)

    def from_unit(self, unit: np.ndarray) -> dict[str, ParameterValue]:
        """Map a point of the unit cube `[0, 1)^d` (a Sobol or uniform draw) to a canonical point."""
        scaled = [
            math.floor(u * len(p.values)) if isinstance(p, ChoiceParameter) else p.lower + u * (p.upper - p.lower)
            for p, u in zip(self.parameters, unit.tolist(), strict=True)
        ]
        return self.decode(np.array(scaled))

    def sample(self, generator: np.random.Generator) -> dict[str, ParameterValue]:
        """Draw every parameter uniformly and return the canonical point."""
        return self.from_unit(generator.random(len(self.parameters)))

    def neighbours(self, point: Point) -> Iterator[dict[str, ParameterValue]]:
        """Yield the distinct canonical points that differ from this one in a single choice."""
        canonical = self.canonical(point)
        seen = {content_key(canonical)}
        for parameter in self.parameters:
            if not isinstance(parameter, ChoiceParameter):
                continue
            for value in parameter.values:
                neighbour = self.canonical({**canonical, parameter.name: value})
                key = content_key(neighbour)
                if key not in seen:
                    seen.add(key)
                    yield neighbour
