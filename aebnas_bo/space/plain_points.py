"""The plain networks of a space, with exits: where a practitioner would begin, and so the first a search looks at."""

from __future__ import annotations

from aebnas_bo.space.declaration import NetworkSpaceDeclaration
from aebnas_bo.space.network_space import NetworkSpace
from aebnas_bo.space.plain_family import NUM_STAGES
from aebnas_bo.space.search_space import ChoiceParameter, ContinuousParameter, ParameterValue

THRESHOLD = 0.7  # of every exit; an evaluated network is measured at other thresholds too
KIND = "depthwise_separable"


def plain_points(space: NetworkSpace) -> list[dict[str, ParameterValue]]:
    """Return one canonical point per width, narrowest first: depthwise separable 3x3 blocks, one layer in every exit.

    Every stage takes its width of the same rank. It has two blocks, the last stage of `space.plain_family` one; a stage
    beyond those is left out where it may be.

    Args:
        space: The space; nothing is returned where a stage cannot have depthwise separable blocks.
    """
    declaration = space.declaration
    if not all(KIND in stage.kinds for stage in declaration.stages):
        return []
    most = max(len(stage.widths) for stage in declaration.stages)
    points: dict[str, dict[str, ParameterValue]] = {}
    for rank in range(most):
        point = space.search_space.canonical(
            {parameter.name: _value(parameter, declaration, rank) for parameter in space.search_space.parameters}
        )
        points.setdefault(space.search_space.key(point), point)
    return list(points.values())


def _value(
    parameter: ChoiceParameter | ContinuousParameter, declaration: NetworkSpaceDeclaration, rank: int
) -> ParameterValue:
    if isinstance(parameter, ContinuousParameter):
        return min(max(THRESHOLD, parameter.lower), parameter.upper)
    name, values = parameter.name, parameter.values
    if name.endswith("_width"):
        return values[min(rank, len(values) - 1)]
    if name == "resolution":
        return values[-1]
    if name.endswith("_kind"):
        return KIND if KIND in values else values[0]
    if name.endswith("_depth"):
        wanted = _depth(name, declaration)
        return min(values, key=lambda value: abs(int(value) - wanted))
    return values[0]


def _depth(name: str, declaration: NetworkSpaceDeclaration) -> int:
    """Return how many blocks a stage, or layers an exit branch (its classifier included), has in a plain network."""
    kind, number = name[: -1 - len("depth")].rstrip("0123456789"), int("".join(filter(str.isdigit, name)))
    num_stages = len(declaration.stages)
    is_optional = 0 in declaration.stages[-1].depths
    last = num_stages - 1 if is_optional and num_stages > NUM_STAGES else num_stages
    if kind == "exit":
        return 2 if declaration.exits[number - 1].after_stage < last else 0
    return 2 if number < last else 1 if number == last else 0
