import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aebnas_bo.errors import SearchSpaceError
from aebnas_bo.space.search_space import ChoiceParameter, Condition, ContinuousParameter, SearchSpace
from tests.declarations import points_of, search_spaces, similar_points_of

SPACE = SearchSpace(
    (
        ChoiceParameter("depth", (0, 1, 2)),
        ChoiceParameter("kind", ("a", "b", "c"), is_ordered=False, active_when=Condition("depth", (1, 2))),
        ChoiceParameter("kernel", (3, 5), active_when=Condition("kind", ("b",))),
        ContinuousParameter("threshold", 0.0, 1.0, active_when=Condition("depth", (1, 2))),
    )
)


def test_canonical_fixes_what_is_switched_off() -> None:
    point = {"depth": 0, "kind": "b", "kernel": 5, "threshold": 0.3}
    assert SPACE.canonical(point) == {"depth": 0, "kind": "a", "kernel": 3, "threshold": 1.0}


def test_canonical_follows_chains_of_conditions() -> None:
    # kernel depends on kind, kind on depth: switching depth off switches kernel off, whatever kind says
    point = {"depth": 1, "kind": "a", "kernel": 5, "threshold": 0.3}
    assert SPACE.canonical(point)["kernel"] == 3


def test_key_is_equal_for_equal_meanings_and_differs_otherwise() -> None:
    off = {"depth": 0, "kind": "b", "kernel": 5, "threshold": 0.3}
    also_off = {"depth": 0, "kind": "c", "kernel": 3, "threshold": 0.9}
    on = {"depth": 1, "kind": "b", "kernel": 5, "threshold": 0.3}
    assert SPACE.key(off) == SPACE.key(also_off) != SPACE.key(on)


def test_canonical_returns_declared_values_for_equal_ones() -> None:
    point = SPACE.canonical({"depth": 1.0, "kind": "b", "kernel": 5, "threshold": 1})
    assert type(point["depth"]) is int
    assert type(point["threshold"]) is float


def test_num_discrete_counts_canonical_combinations() -> None:
    # depth 0: 1; depth 1 and 2: kind a and c one each, kind b two kernels = 4 each
    assert SPACE.num_discrete == 9


def test_num_points_counts_spaces_of_choices_only() -> None:
    assert SPACE.num_points is None  # it has a threshold
    assert SearchSpace(tuple(p for p in SPACE.parameters if isinstance(p, ChoiceParameter))).num_points == 9


@given(st.data())
def test_the_canonical_form_is_canonical(data: st.DataObject) -> None:
    space = data.draw(search_spaces())
    canonical = space.canonical(data.draw(points_of(space)))
    assert space.canonical(canonical) == canonical
    assert tuple(canonical) == space.names


@pytest.mark.slow
@given(st.data())
def test_keys_are_equal_exactly_where_canonical_forms_are(data: st.DataObject) -> None:
    space = data.draw(search_spaces())
    one, other = data.draw(similar_points_of(space))
    assert (space.key(one) == space.key(other)) == (space.canonical(one) == space.canonical(other))


@given(st.data())
def test_encode_and_decode_are_inverse(data: st.DataObject) -> None:
    space = data.draw(search_spaces())
    point = data.draw(points_of(space))
    assert space.decode(space.encode(point)) == space.canonical(point)
    assert np.array_equal(space.encode(space.decode(space.encode(point))), space.encode(point))


def test_both_zeros_are_one_point() -> None:
    assert SPACE.key({"depth": 1, "kind": "a", "kernel": 3, "threshold": -0.0}) == SPACE.key(
        {"depth": 1, "kind": "a", "kernel": 3, "threshold": 0.0}
    )


def test_sample_is_seeded() -> None:
    first = [SPACE.sample(np.random.default_rng(3)) for _ in range(2)]
    assert first[0] == first[1]


def test_neighbours_are_distinct_and_canonical() -> None:
    point = SPACE.canonical({"depth": 1, "kind": "b", "kernel": 3, "threshold": 0.5})
    neighbours = list(SPACE.neighbours(point))
    keys = {SPACE.key(neighbour) for neighbour in neighbours}
    assert len(keys) == len(neighbours) == 5  # depth 0, 2; kind a, c; kernel 5
    assert SPACE.key(point) not in keys
    assert all(SPACE.canonical(neighbour) == neighbour for neighbour in neighbours)


def test_from_unit_reaches_both_ends() -> None:
    assert SPACE.from_unit(np.zeros(4))["depth"] == 0
    assert SPACE.from_unit(np.full(4, 1 - 1e-12))["depth"] == 2


def test_validate_reports_every_problem() -> None:
    with pytest.raises(SearchSpaceError) as caught:
        SPACE.validate({"depth": 7, "kind": "a", "threshold": 1.5, "colour": 1})
    text = str(caught.value)
    for part in (
        "kernel: missing",
        "colour: no such parameter",
        "depth: must be one of [0, 1, 2]",
        "threshold: must",
    ):
        assert part in text


def test_validate_refuses_nan() -> None:
    with pytest.raises(SearchSpaceError, match="threshold"):
        SPACE.validate({"depth": 1, "kind": "a", "kernel": 3, "threshold": float("nan")})


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ((), "no parameter"),
        ((ContinuousParameter("a"), ContinuousParameter("a")), "declared twice"),
        ((ContinuousParameter("a", active_when=Condition("b", (1,))),), "depends on"),
        (
            (ChoiceParameter("a", (0, 1)), ContinuousParameter("b", active_when=Condition("a", (2,)))),
            "its values",
        ),
    ],
)
def test_space_refuses_inconsistent_declarations(parameters: tuple, message: str) -> None:
    with pytest.raises(SearchSpaceError, match=message):
        SearchSpace(parameters)


@pytest.mark.parametrize("values", [(1,), (1, 1), ()])
def test_choice_needs_two_distinct_values(values: tuple) -> None:
    with pytest.raises(SearchSpaceError, match="two distinct"):
        ChoiceParameter("a", values)


@pytest.mark.parametrize("values", [(3, 1), (False, 2.5, 1), (True, False)])
def test_numbers_of_a_choice_must_ascend(values: tuple) -> None:
    with pytest.raises(SearchSpaceError, match="must be ascending"):
        ChoiceParameter("a", values)


def test_range_needs_finite_ascending_bounds() -> None:
    with pytest.raises(SearchSpaceError, match="lower < upper"):
        ContinuousParameter("a", 1.0, float("inf"))


def test_decode_refuses_a_row_of_the_wrong_length() -> None:
    with pytest.raises(SearchSpaceError, match="4 numbers"):
        SPACE.decode(np.zeros(3))
