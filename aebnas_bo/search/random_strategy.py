"""Random search: every parameter uniform, no point twice."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from aebnas_bo.search.strategy import Proposal
from aebnas_bo.search.trial import Trial
from aebnas_bo.seeding import numpy_generator
from aebnas_bo.space.search_space import ParameterValue, SearchSpace

MOST_DRAWS = 1000  # before a point that was tried is proposed again: the space is all but exhausted


class RandomStrategy:
    """Draws every parameter uniformly over its choices or its interval.

    Args:
        space: What to search.
        seed: Seed of the draws.
    """

    def __init__(self, space: SearchSpace, seed: int) -> None:
        self._space, self._seed = space, seed

    def propose(self, trials: Sequence[Trial], count: int) -> list[Proposal]:
        """Draw points that were not tried."""
        tried = {self._space.key(trial.parameters) for trial in trials}
        points = []
        for number in range(len(trials), len(trials) + count):
            points.append(new_random_point(self._space, self._seed, number, tried))
            tried.add(self._space.key(points[-1]))
        return [Proposal(point) for point in points]


def new_random_point(space: SearchSpace, seed: int, number: int, tried: Collection[str]) -> dict[str, ParameterValue]:
    """Draw a point whose key is not among those tried.

    Args:
        space: The space of the point.
        seed: Seed of the draw.
        number: Number of the trial; each draws from a stream of its own.
        tried: Keys of points to avoid.
    """
    generator = numpy_generator(seed, "random point", number)
    for _ in range(MOST_DRAWS):
        point = space.sample(generator)
        if space.key(point) not in tried:
            break
    return point
