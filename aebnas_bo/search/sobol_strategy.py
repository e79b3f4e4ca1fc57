"""A scrambled Sobol sequence from the first trial to the last."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice

from aebnas_bo.search.design import sobol_points
from aebnas_bo.search.random_strategy import RandomStrategy
from aebnas_bo.search.strategy import Proposal
from aebnas_bo.search.trial import Trial
from aebnas_bo.space.search_space import SearchSpace


class SobolStrategy:
    """Fills the space evenly; random points follow where the sequence brings nothing new.

    Args:
        space: What to search.
        seed: Seed of the scrambling.
    """

    def __init__(self, space: SearchSpace, seed: int) -> None:
        self._space, self._seed = space, seed

    def propose(self, trials: Sequence[Trial], count: int) -> list[Proposal]:
        """Return the next points of the sequence."""
        points = islice(sobol_points(self._space, self._seed), len(trials), len(trials) + count)
        proposals = [Proposal(point) for point in points]
        if len(proposals) < count:
            proposals += RandomStrategy(self._space, self._seed).propose(trials, count - len(proposals))
        return proposals
