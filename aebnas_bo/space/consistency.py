"""Rules between the fields of a declaration.

They read plain lists and dictionaries and skip invalid values, so that they also find problems in a file with other
invalid fields. Each problem begins with the path of its field.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TypeGuard

LEAST_STAGES = 2
OF_STAGES: dict[str, object] = {
    "stem_channels": None,
    "stem_stride": 1,
    "head_channels": 0,
    "activation": "relu",
    "learned_confidence": False,
    "squeeze_excitation": [],
    "stages": [],
}
"""Fields without a meaning for a given backbone, with the value that they have there."""

Raw = Mapping[str, object]


def space_problems(space: Raw) -> list[str]:
    """Return the inconsistencies of a space and its exits.

    Args:
        space: The fields of a `NetworkSpaceDeclaration`, right or wrong.
    """
    stages, exits = _entries(space.get("stages")), _entries(space.get("exits"))
    problems = [f"exits.{n}.{problem}" for n, exit_ in enumerate(exits) for problem in exit_problems(exit_)]
    backbone = space.get("backbone")
    problems += _of_given(space, backbone, exits) if backbone is not None else _of_searched(space, exits)
    problems += _order_of_exits(exits, len(stages))
    for number, stage in enumerate(stages[:-1]):
        depths = _integers(stage.get("depths"))
        if 0 in depths and max(depths) > 0:
            problems.append(f"stages.{number}.depths: only the last stage may have depth 0, got {depths}; begin with 1")
    named = [number for number in _integers(space.get("squeeze_excitation", [])) if number > len(stages) > 0]
    if named:
        problems.append(
            f"squeeze_excitation: counts stages from 1, so that it is at most {len(stages)}, the number of stages; got "
            f"{', '.join(map(str, named))}"
        )
    tuned = [exit_.get("threshold", ()) is None for exit_ in exits]
    if any(tuned) and not all(tuned):
        problems.append(
            f"exits.{tuned.index(True)}.threshold: null has this one tuned and others searched; give every exit "
            "threshold: null, or none"
        )
    return problems + _pooling(space, stages, exits)


def _of_searched(space: Raw, exits: Sequence[Raw]) -> list[str]:
    problems = []
    for name, least in (("resolutions", 1), ("stages", LEAST_STAGES)):
        values = space.get(name)
        if _is_list(values) and len(values) < least:
            problems.append(f"{name}: must have at least {least} entries, got {len(values)}")
    return problems + [
        f"exits.{number}.poolings: tokens are pooled behind points of a given backbone only; leave it out"
        for number, exit_ in enumerate(exits)
        if exit_.get("poolings")
    ]


def _of_given(space: Raw, backbone: object, exits: Sequence[Raw]) -> list[str]:
    problems = [
        f"{name}: has no meaning with a given backbone; leave it out"
        for name, only in OF_STAGES.items()
        if name in space and _listed(space[name]) != only
    ]
    resolutions = space.get("resolutions")
    if _is_list(resolutions) and len(resolutions) > 1:
        problems.append(f"resolutions: a given backbone reads images of one size, got {list(resolutions)}")
    found = backbone.get("found") if isinstance(backbone, Mapping) else None
    points = _entries(found.get("points")) if isinstance(found, Mapping) else []
    for number, exit_ in enumerate(exits if points else []):
        place = _integer(exit_.get("after_stage")) or 0
        if place > len(points):
            problems.append(
                f"exits.{number}.after_stage: must be at most {len(points)}, the number of points of the backbone, got "
                f"{place}; `aebnas-bo space` shows them"
            )
        elif (points[place - 1].get("layout") == "tokens") != bool(exit_.get("poolings")):
            advice = "has no meaning behind maps" if exit_.get("poolings") else "is needed behind tokens"
            problems.append(f"exits.{number}.poolings: {advice}, which point {place} of the backbone has")
    return problems


def _listed(value: object) -> object:
    return list(value) if isinstance(value, tuple) else value


def exit_problems(exit_: Raw) -> list[str]:
    """Return the inconsistencies of an exit.

    Args:
        exit_: The fields of `ExitChoices`, right or wrong.
    """
    problems = []
    depths, layers = _integers(exit_.get("depths")), exit_.get("layers", [])
    needed = max([*depths, 1]) - 1
    if depths and _is_list(layers) and len(layers) != needed:
        problems.append(
            f"layers: needs {needed} entries, for depths go up to {max(depths)}, the classifier included; got "
            f"{len(layers)}"
        )
    values, ends = _numbers(exit_.get("threshold_values", [])), exit_.get("threshold", [0.0, 1.0])
    if ends is None and values:
        problems.append("threshold_values: need a threshold in the space; leave out threshold: null")
    range_ = _numbers(ends)
    if len(range_) == 2 and values and not range_[0] <= min(values) <= max(values) <= range_[1]:
        problems.append(f"threshold_values: must lie within threshold, {range_}, got {values}")
    return problems


def _order_of_exits(exits: Sequence[Raw], num_stages: int) -> list[str]:
    problems, before = [], 0
    for number, exit_ in enumerate(exits):
        stage = _integer(exit_.get("after_stage"))
        if not stage:
            continue
        if stage <= before:
            problems.append(
                f"exits.{number}.after_stage: must be above {before}, that of an exit before it, got {stage}; at most "
                "one exit follows a stage"
            )
        elif stage >= num_stages > 0:
            problems.append(
                f"exits.{number}.after_stage: must be at most {num_stages - 1}, got {stage}; an exit needs a later "
                f"stage to skip, and there are {num_stages} stages, which after_stage counts from 1"
            )
        else:
            before = stage
    return problems


def _pooling(space: Raw, stages: Sequence[Raw], exits: Sequence[Raw]) -> list[str]:
    """Return the layers that may pool maps too small to be halved, at the lowest resolution."""
    resolutions, stride = _integers(space.get("resolutions")), _integer(space.get("branch_stride"))
    strides = [_integer(space.get("stem_stride")), *(_integer(stage.get("stride")) for stage in stages)]
    problems = []
    for number, exit_ in enumerate(exits):
        stage = _integer(exit_.get("after_stage"))
        passed = [one for one in strides[: (stage or 0) + 1] if one]
        if not resolutions or not stride or not stage or len(passed) != stage + 1:
            continue
        lowest = side = min(resolutions)
        for one in passed:
            side = -(-side // one)
        problems += [
            f"exits.{number}.layers.{layer}.pools: at resolution {lowest} this layer sees {seen}x{seen} pixels, which "
            "cannot be pooled; allow only [false], or larger resolutions"
            for layer, seen in _pooled_sides(_entries(exit_.get("layers")), side, stride)
            if seen < 2
        ]
    return problems


def _pooled_sides(layers: Sequence[Raw], side: int, stride: int) -> Iterator[tuple[int, int]]:
    """Yield the number of each layer of a branch that may pool, and the smallest side of what it pools."""
    for number, options in enumerate(layers):
        upsamples = _integers(options.get("upsamples", [0]))
        side = -(-min((size or side for size in upsamples), default=side) // stride)
        pools = options.get("pools")
        if _is_list(pools) and True in pools:
            yield number, side
            side = max(side // 2, 1)


def _is_list(value: object) -> TypeGuard[Sequence[object]]:
    return isinstance(value, Sequence) and not isinstance(value, str)


def _entries(value: object) -> list[Raw]:
    """Return the entries of a list, an empty one in the place of each that is none."""
    if not _is_list(value):
        return []
    return [entry if isinstance(entry, Mapping) else {} for entry in value]


def _integer(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None


def _integers(value: object) -> list[int]:
    """Return a list of integers; none if it is no such list."""
    if not _is_list(value):
        return []
    numbers = [one for one in map(_integer, value) if one is not None]
    return numbers if len(numbers) == len(value) else []


def _numbers(value: object) -> list[float]:
    """Return a list of numbers; none if it is no such list."""
    if not _is_list(value):
        return []
    numbers = [one for one in value if isinstance(one, int | float) and not isinstance(one, bool)]
    return numbers if len(numbers) == len(value) else []
