"""The plain networks of a space, or those that users would make of a given backbone: first points of a search."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import product

from aebnas_bo.space.architecture import Architecture
from aebnas_bo.space.declaration import NetworkSpaceDeclaration
from aebnas_bo.space.macs import exit_costs
from aebnas_bo.space.network_space import NetworkSpace, is_exit_depth
from aebnas_bo.space.plain_family import DEEP_FROM, NUM_STAGES, SHALLOW_BELOW, plain_depths
from aebnas_bo.space.search_space import ChoiceParameter, ContinuousParameter, ParameterValue

EXITS_FROM = 0.15e6  # MACs; in smaller networks an exit's branch costs more than the images that leave there save
THRESHOLD = 0.7  # of every exit; an evaluated network is measured at other thresholds too
KIND = "depthwise_separable"
LEAST_STEM = 6.0  # channels; a lower resolution is better than a stem with less
STEP = 1.15  # least ratio of the MACs of one network and the next smaller one of its resolution
OVERLAP = 1.5  # MACs of the largest network of a resolution over those of the smallest one of the next higher


def first_points(space: NetworkSpace, most: int, budgets: Sequence[float] = ()) -> list[dict[str, ParameterValue]]:
    """Return the canonical points that a search evaluates first: the plain networks of its space.

    Of too many, those with close neighbours are left out, but not the largest within a budget. On a given backbone the
    points are the backbone without exits, where that is allowed, and the one with a linear classifier at every exit.

    Args:
        space: The space.
        most: Largest number of points.
        budgets: MACs for which networks will be trained.
    """
    if space.skeleton.given is None:
        return _thinned(plain_points(space), most, budgets, space=space)
    points: dict[str, dict[str, ParameterValue]] = {}
    for depth in (0, 1):
        point = {one.name: _nearest(one, depth) for one in space.search_space.parameters}
        canonical = space.search_space.canonical(point)
        points.setdefault(space.search_space.key(canonical), canonical)
    return list(points.values())[:most]


def _thinned(
    points: list[dict[str, ParameterValue]], most: int, budgets: Sequence[float], *, space: NetworkSpace
) -> list[dict[str, ParameterValue]]:
    """Leave out points, one by one, whose neighbours in MACs are nearest to each other by their ratio."""
    networks = [space.architecture(point) for point in points]
    macs = [exit_costs(one, space.skeleton).cumulative[-1] for one in networks]
    largest = {_largest_within(budget, networks, space) for budget in budgets}
    kept = sorted(range(len(points)), key=macs.__getitem__)
    while len(kept) > max(most, 2):
        inner = range(1, len(kept) - 1)
        able = [place for place in inner if kept[place] not in largest] or inner
        del kept[min(able, key=lambda place: macs[kept[place + 1]] / macs[kept[place - 1]])]
    return [points[number] for number in sorted(kept)[:most]]


def _largest_within(budget: float, networks: Sequence[Architecture], space: NetworkSpace) -> int | None:
    """Return the position of the largest network that is within a budget without its exits; `None` if none is."""
    macs = {
        number: exit_costs(one, space.skeleton).backbone[-1]
        for number, one in enumerate(networks)
        if bool(one.active_exits) == (budget >= EXITS_FROM)
    }
    within = [number for number, cost in macs.items() if cost <= budget]
    return max(within, key=macs.__getitem__, default=None)


def _nearest(parameter: ChoiceParameter | ContinuousParameter, depth: int) -> ParameterValue:
    """Return the threshold of plain networks, the nearest depth of a branch, or the first of other choices."""
    if isinstance(parameter, ContinuousParameter):
        return _threshold(parameter)
    if is_exit_depth(parameter.name):
        return min(parameter.values, key=lambda value: abs(int(value) - depth))
    return parameter.values[0]


def plain_points(space: NetworkSpace) -> list[dict[str, ParameterValue]]:
    """Return canonical points: depthwise separable 3x3 blocks, one layer in every exit; small ones without exits too.

    All stages take widths of the same rank, or all but the first those of the next rank, and have as many blocks as
    `plain_depths` says. Networks whose first stage has at least twice `SHALLOW_BELOW` channels are deep, those of less
    than twice `DEEP_FROM` are not, and between there are both. There is no exit just before a fourth or later stage.
    Of one resolution, a network has at least `STEP` times the MACs of the next smaller one. Networks of equal ranks,
    whose widths the preset `auto` derives from budgets, take precedence. Every resolution but the lowest has only
    networks whose stem has at least `LEAST_STEM` channels, and every resolution but the highest only those of at most
    `OVERLAP` times the MACs of the smallest one of the resolution above it. The highest resolution comes first, and the
    smallest network first in each, behind the same network without exits if that has fewer than `EXITS_FROM` MACs.

    Args:
        space: The space; nothing is returned where a stage cannot have depthwise separable blocks, or the backbone is
            given.
    """
    declaration = space.declaration
    if space.skeleton.given is not None or not all(KIND in stage.kinds for stage in declaration.stages):
        return []
    points: dict[str, dict[str, ParameterValue]] = {}
    lowest, most = min(declaration.resolutions), math.inf
    for resolution in sorted(declaration.resolutions, reverse=True):
        able = [
            (macs, point)
            for macs, point in _points_of(space, resolution)
            if macs <= most and (resolution == lowest or _stem(space, point) >= LEAST_STEM)
        ]
        kept = _apart(able)
        for macs, point in kept:
            for one in [*([_static(point)] if macs < EXITS_FROM else []), point]:
                canonical = space.search_space.canonical(one)
                points.setdefault(space.search_space.key(canonical), canonical)
        most = OVERLAP * min((macs for macs, _ in kept), default=most / OVERLAP)
    return list(points.values())


def _points_of(space: NetworkSpace, resolution: int) -> list[tuple[int, dict[str, ParameterValue]]]:
    """Return the plain points of a resolution with their MACs without exits, those of one rank of widths first."""
    declaration, found = space.declaration, []
    for ranks, is_deep in product(_ranks(declaration), (False, True)):
        point = {
            one.name: _value(one, declaration, ranks=ranks, is_deep=is_deep, resolution=resolution)
            for one in space.search_space.parameters
        }
        unit = space.width(point, 1) / 2.0
        if unit >= DEEP_FROM if is_deep else unit < SHALLOW_BELOW:
            static = space.architecture(_static(point))
            found.append((exit_costs(static, space.skeleton).cumulative[-1], point))
    return found


def _apart(points: Sequence[tuple[int, dict[str, ParameterValue]]]) -> list[tuple[int, dict[str, ParameterValue]]]:
    """Return the points whose MACs differ by a factor of at least `STEP` from those before them, cheapest first."""
    kept: list[tuple[int, dict[str, ParameterValue]]] = []
    for macs, point in points:
        if all(max(macs, other) >= STEP * min(macs, other) for other, _ in kept):
            kept.append((macs, point))
    return sorted(kept, key=lambda one: one[0])


def _static(point: Mapping[str, ParameterValue]) -> dict[str, ParameterValue]:
    """Return a point without exits."""
    return {**point, **{name: 0 for name in point if is_exit_depth(name)}}


def _stem(space: NetworkSpace, point: Mapping[str, ParameterValue]) -> float:
    """Return the number of channels of a point's stem."""
    return space.declaration.stem_channels or space.width(point, 1) / 2.0


def _ranks(declaration: NetworkSpaceDeclaration) -> list[tuple[int, ...]]:
    """Return which of its widths each stage takes, one tuple per size; those of equal ranks first."""
    count = len(declaration.stages)
    most = max(len(stage.widths) for stage in declaration.stages)
    equal = [(rank,) * count for rank in range(most)]
    return equal + [(rank, *(rank + 1,) * (count - 1)) for rank in range(most - 1)]


def _value(
    parameter: ChoiceParameter | ContinuousParameter,
    declaration: NetworkSpaceDeclaration,
    *,
    ranks: Sequence[int],
    is_deep: bool,
    resolution: int,
) -> ParameterValue:
    if isinstance(parameter, ContinuousParameter):
        return _threshold(parameter)
    name, values = parameter.name, parameter.values
    if name.endswith("_width"):
        return values[min(ranks[_number(name) - 1], len(values) - 1)]
    if name == "resolution":
        return resolution
    if name.endswith("_kind"):
        return KIND if KIND in values else values[0]
    if name.endswith("_depth"):
        wanted = _depth(name, declaration, is_deep=is_deep)
        return min(values, key=lambda value: abs(int(value) - wanted))
    return values[0]


def _threshold(parameter: ContinuousParameter) -> float:
    return min(max(THRESHOLD, parameter.lower), parameter.upper)


def _depth(name: str, declaration: NetworkSpaceDeclaration, *, is_deep: bool) -> int:
    """Return how many blocks a stage, or layers an exit branch (its classifier included), has in a plain network."""
    number, num_stages = _number(name), len(declaration.stages)
    if name.startswith("exit"):
        last = min(num_stages, max(num_stages - 1, NUM_STAGES))  # an exit before a fourth stage would save little
        return 2 if declaration.exits[number - 1].after_stage < last else 0
    return plain_depths(num_stages, is_deep=is_deep)[number - 1]


def _number(name: str) -> int:
    """Return the number of the stage or exit that a gene belongs to, from 1."""
    return int("".join(filter(str.isdigit, name)))
