from itertools import islice

from aebnas_bo.search.design import sobol_points
from aebnas_bo.space.search_space import ChoiceParameter, ContinuousParameter, SearchSpace

SPACE = SearchSpace((ChoiceParameter("a", (0, 1, 2)), ContinuousParameter("t")))


def test_points_are_canonical_distinct_and_seeded() -> None:
    first, again = (list(islice(sobol_points(SPACE, 5), 100)) for _ in range(2))
    assert first == again
    assert len({SPACE.key(point) for point in first}) == 100
    assert first != list(islice(sobol_points(SPACE, 6), 100))


def test_levels_are_balanced() -> None:
    counts = [sum(p["a"] == value for p in islice(sobol_points(SPACE, 0), 96)) for value in (0, 1, 2)]
    assert max(counts) - min(counts) <= 3


def test_a_small_space_ends_and_a_large_one_does_not() -> None:
    space = SearchSpace((ChoiceParameter("a", (0, 1)), ChoiceParameter("b", (0, 1))))
    assert len(list(sobol_points(space, 0))) == 4
    assert len(list(islice(sobol_points(SPACE, 0), 5000))) == 5000
