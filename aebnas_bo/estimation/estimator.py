"""Interface for estimators."""

from __future__ import annotations

from typing import Protocol

from aebnas_bo.estimation.estimate import Estimate
from aebnas_bo.space.search_space import Point, SearchSpace


class Estimator(Protocol):
    """Interface for estimators, which evaluate points of one search space; equal points get equal estimates.

    `aebnas_bo.testing.estimator_contract` holds tests that every implementation should pass.
    """

    @property
    def search_space(self) -> SearchSpace:
        """The space of the points that the estimator evaluates."""

    def estimate(self, point: Point) -> Estimate:
        """Evaluate one point.

        An exception fails the trial. Errors of storage or memory (`OSError`, `MemoryError`, SQL) stop the search
        instead, and resuming evaluates the trial again. An `EstimationError` always fails the trial.

        Args:
            point: A point of the space, canonical or not.

        Raises:
            SearchSpaceError: If the point does not belong to the space.
            EstimationError: If the point cannot be evaluated.
        """
