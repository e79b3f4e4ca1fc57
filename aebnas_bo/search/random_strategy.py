"""Random search: uniform draws without repetition."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from aebnas_bo.search.strategy import Proposal
from aebnas_bo.search.trial import Trial
from aebnas_bo.seeding import numpy_generator
from aebnas_bo.space.search_space import ParameterValue, SearchSpace

MOST_DRAWS = 1000  # attempts before a point is repeated, because the space is almost exhausted


class RandomStrategy:
    """Draws every parameter uniformly over its choices or its interval.

    Args:
        space: Search space.
        seed: Seed of the draws.
    """

    def __init__(self, space: SearchSpace, seed: int) -> None:
        self._space, self._seed = space, seed

    def propose(self, trials: Sequence[Trial], count: int) -> list[Proposal]:
        """Draw points that were not evaluated before."""
        tried = {self._space.key(trial.parameters) for trial in trials}
        return [
            Proposal(point)
            for point in new_random_points(self._space, self._seed, first=len(trials), count=count, tried=tried)
        ]


def new_random_points(
    space: SearchSpace, seed: int, *, first: int, count: int, tried: Collection[str]
) -> list[dict[str, ParameterValue]]:
    """Draw distinct points whose keys are not in `tried`.

    Args:
        space: The space of the points.
        seed: Seed of the draws.
        first: Trial number of the first point; each trial has its own random stream.
        count: Number of points.
        tried: Keys of the points to avoid.
    """
    avoided, points = set(tried), []
    for number in range(first, first + count):
        generator = numpy_generator(seed, "random point", number)
        for _ in range(MOST_DRAWS):
            point = space.sample(generator)
            if space.key(point) not in avoided:
                break
        avoided.add(space.key(point))
        points.append(point)
    return points
