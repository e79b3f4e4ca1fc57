"""Random declarations, and points in them, for property tests."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import reject
from hypothesis import strategies as st
from pydantic import ValidationError

from aebnas_bo.errors import SearchSpaceError
from aebnas_bo.space.declaration import BranchLayerChoices, ExitChoices, NetworkSpaceDeclaration, StageChoices
from aebnas_bo.space.network_space import NetworkSpace
from aebnas_bo.space.search_space import (
    ChoiceParameter,
    Condition,
    ContinuousParameter,
    Parameter,
    ParameterValue,
    Point,
    SearchSpace,
)

KINDS = ("dense", "depthwise_separable", "inverted_residual", "convnext")
NUMBERS = st.floats(-10.0, 10.0)


@st.composite
def search_spaces(draw: st.DrawFn) -> SearchSpace:
    """Up to seven parameters of all kinds, some of which depend on earlier ones."""
    parameters: list[Parameter] = []
    for number in range(draw(st.integers(1, 7))):
        parameters.append(draw(_parameters(f"p{number}", tuple(parameters))))
    return SearchSpace(tuple(parameters))


@st.composite
def _parameters(draw: st.DrawFn, name: str, earlier: Sequence[Parameter]) -> Parameter:
    condition, choices = None, [one for one in earlier if isinstance(one, ChoiceParameter)]
    if choices and draw(st.booleans()):
        parent = draw(st.sampled_from(choices))
        values = draw(st.lists(st.sampled_from(parent.values), min_size=1, unique=True))
        condition = Condition(parent.name, tuple(values))
    if draw(st.booleans()):
        low, high = sorted(draw(st.lists(NUMBERS, min_size=2, max_size=2, unique=True)))
        return ContinuousParameter(name, low, high, active_when=condition)
    return ChoiceParameter(name, draw(_values()), draw(st.booleans()), active_when=condition)


def _values() -> st.SearchStrategy[tuple[ParameterValue, ...]]:
    return st.one_of(
        ascending(st.integers(-3, 30), min_size=2),
        ascending(NUMBERS, min_size=2),
        st.lists(st.text("ab/é", max_size=3), min_size=2, max_size=4, unique=True).map(tuple),
        st.just((False, True)),
    )


def ascending(values: st.SearchStrategy, min_size: int = 1) -> st.SearchStrategy[tuple]:
    """Up to four distinct values in order."""
    return st.lists(values, min_size=min_size, max_size=4, unique=True).map(lambda some: tuple(sorted(some)))


def some_of(*values: object) -> st.SearchStrategy[tuple]:
    """A choice of at least one of these values, in their order."""
    places = ascending(st.integers(0, len(values) - 1))
    return places.map(lambda chosen: tuple(values[place] for place in chosen))


def points_of(space: SearchSpace) -> st.SearchStrategy[Point]:
    """Points that need not be canonical."""
    return st.fixed_dictionaries(
        {
            one.name: st.sampled_from(one.values)
            if isinstance(one, ChoiceParameter)
            else st.floats(one.lower, one.upper)
            for one in space.parameters
        }
    )


def similar_points_of(space: SearchSpace) -> st.SearchStrategy[tuple[Point, Point]]:
    """Two points that differ in a few parameters at most, so that many of them mean the same."""
    changed = st.sets(st.sampled_from(space.names), min_size=1, max_size=3)
    return st.builds(
        lambda one, other, names: (one, {**one, **{name: other[name] for name in names}}),
        points_of(space), points_of(space), changed,
    )  # fmt: skip


@st.composite
def network_spaces(draw: st.DrawFn) -> NetworkSpace:
    """Spaces of tiny networks with blocks, branch layers and exits of all kinds."""
    num_stages = draw(st.integers(2, 3))
    stages = tuple(draw(_stages(is_last=number == num_stages)) for number in range(1, num_stages + 1))
    thresholds = draw(st.sampled_from([(0.0, 1.0), (0.3, 0.9), None]))
    exits = tuple(draw(_exits(number, thresholds)) for number in draw(some_of(*range(1, num_stages))))
    settings = {
        "resolutions": draw(some_of(8, 11, 16)),
        "stem_channels": draw(st.sampled_from([None, 3, 4])),
        "stem_stride": draw(st.integers(1, 2)),
        "head_channels": draw(st.sampled_from([0, 12])),
        "branch_stride": draw(st.integers(1, 2)),
        "activation": draw(st.sampled_from(["relu", "hardswish"])),
        "learned_confidence": draw(st.booleans()),
        "squeeze_excitation": draw(st.one_of(st.just(()), some_of(*range(1, num_stages + 1)))),
    }
    in_channels, num_classes = draw(st.sampled_from([1, 3])), draw(st.integers(2, 5))
    try:
        return NetworkSpace(NetworkSpaceDeclaration(**settings, stages=stages, exits=exits), in_channels, num_classes)
    except (ValidationError, SearchSpaceError):  # a branch would pool a single pixel, or nothing varies
        reject()


@st.composite
def _stages(draw: st.DrawFn, is_last: bool) -> StageChoices:
    return StageChoices(
        widths=draw(some_of(4, 6, 8)),
        depths=draw(st.sampled_from([(1,), (2,), (1, 2), *([(0, 1), (0, 2)] if is_last else [])])),
        kernels=draw(some_of(1, 3, 5)),
        expansions=draw(some_of(1, 2, 3)),
        stride=draw(st.integers(1, 2)),
        kinds=draw(some_of(*KINDS)),
    )


@st.composite
def _exits(draw: st.DrawFn, after_stage: int, threshold: tuple[float, float] | None) -> ExitChoices:
    depths = draw(some_of(0, 1, 2, 3))
    return ExitChoices(
        after_stage=after_stage,
        depths=depths,
        layers=tuple(draw(_branch_layers()) for _ in range(max(depths) - 1)),
        threshold=threshold,
    )


def _branch_layers() -> st.SearchStrategy[BranchLayerChoices]:
    return st.builds(
        BranchLayerChoices,
        kinds=some_of(*KINDS), kernels=some_of(1, 3, 5), expansions=some_of(1, 2), pools=some_of(False, True),
        upsamples=some_of(0, 6, 9),
    )  # fmt: skip
