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
