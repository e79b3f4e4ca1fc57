import pytest

from aebnas_bo.search.settings import SearchConfig
from aebnas_bo.space.search_space import ChoiceParameter, SearchSpace


def space(num_parameters: int) -> SearchSpace:
    return SearchSpace(tuple(ChoiceParameter(f"gene{k}", (0, 1, 2), is_ordered=True) for k in range(num_parameters)))


@pytest.mark.parametrize(("num_parameters", "expected"), [(2, 8), (6, 12), (11, 22), (12, 24), (40, 24)])
def test_a_small_space_has_a_small_design(num_parameters: int, expected: int) -> None:
    assert SearchConfig().for_space(space(num_parameters)).design_trials == expected


def test_a_design_that_was_given_keeps_its_size() -> None:
    given = SearchConfig(design_trials=24)
    assert given.for_space(space(2)).design_trials == 24
    chosen = SearchConfig().for_space(space(2))
    assert chosen.for_space(space(40)) == chosen


def test_constraints_of_further_metrics() -> None:
    found = SearchConfig(constraints=("memory_mb <= 4", "robustness >= 0.5")).limits
    assert [(one.name, one.maximize, one.limit) for one in found] == [
        ("memory_mb", False, 4.0), ("robustness", True, 0.5)
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("constraints", "message"),
    [
        (("memory_mb < 4",), "expected METRIC <= NUMBER"),
        (("accuracy >= 90",), "set search.min_accuracy instead"),
        (("latency_ms <= 2",), "set search.max_latency_ms instead"),
        (("a <= 4", "a >= 2"), "constraints: a has 2 limits, expected one; report the metric under two names"),
    ],
)
def test_wrong_constraints_are_refused(constraints: tuple[str, ...], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        SearchConfig(constraints=constraints)


def test_a_limit_of_latency_needs_no_objective() -> None:
    assert not SearchConfig().has_latency
    assert SearchConfig(max_latency_ms=2.0).has_latency
    assert SearchConfig(objectives=("accuracy", "average_macs", "latency_ms")).has_latency
