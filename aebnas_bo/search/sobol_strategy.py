"""Search by a scrambled Sobol sequence."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice

from aebnas_bo.search.design import sobol_points
from aebnas_bo.search.random_strategy import new_random_points
from aebnas_bo.search.strategy import Proposal
from aebnas_bo.search.trial import Trial
from aebnas_bo.space.search_space import SearchSpace


class SobolStrategy:
    """Strategy that follows a scrambled Sobol sequence, and draws random points once the sequence has no new ones.

    Args:
        space: Search space.
        seed: Seed of the scrambling.
    """

    def __init__(self, space: SearchSpace, seed: int) -> None:
        self._space, self._seed = space, seed

    def propose(self, trials: Sequence[Trial], count: int) -> list[Proposal]:
        """Return the next points of the sequence."""
        points = list(islice(sobol_points(self._space, self._seed), len(trials), len(trials) + count))
        tried = {self._space.key(point) for point in (*(trial.parameters for trial in trials), *points)}
        first, missing = len(trials) + len(points), count - len(points)
        points += new_random_points(self._space, self._seed, first=first, count=missing, tried=tried)
        return [Proposal(point) for point in points]
