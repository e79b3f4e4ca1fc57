"""What the search asks of whatever can judge a point."""

from __future__ import annotations

from typing import Protocol

from aebnas_bo.estimation.estimate import Estimate
from aebnas_bo.space.search_space import Point, SearchSpace


class Estimator(Protocol):
    """Judges points of one search space; equal points get equal estimates.

    `aebnas_bo.testing.estimator_contract` holds tests every implementation should pass.
    """

    @property
    def search_space(self) -> SearchSpace:
        """The space whose points it judges."""

    def estimate(self, point: Point) -> Estimate:
        """Judge one point.

        An error fails the trial, except one of storage or memory (`OSError`, `MemoryError`, SQL): that stops the
        search, and resuming evaluates the trial again. An `EstimationError` fails the trial whatever caused it.

        Args:
            point: A point of the space, canonical or not.

        Raises:
            SearchSpaceError: If the point does not belong to the space.
            EstimationError: If the point cannot be judged.
        """
