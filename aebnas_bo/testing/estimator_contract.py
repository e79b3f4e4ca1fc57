"""Contract tests for `Estimator`: inherit the class and define the fixture `estimator`."""

from __future__ import annotations

import math

import numpy as np
import pytest

from aebnas_bo.errors import SearchSpaceError
from aebnas_bo.estimation.estimator import Estimator


class EstimatorContract:
    """Contract tests for an implementation of `Estimator`."""

    def test_metrics_are_finite(self, estimator: Estimator) -> None:
        """Means and standard errors are finite, standard errors not negative."""
        estimate = estimator.estimate(estimator.search_space.sample(np.random.default_rng(0)))
        for measurement in estimate.metrics.values():
            assert math.isfinite(measurement.mean)
            assert measurement.sem >= 0.0
            assert math.isfinite(measurement.sem)

    def test_equal_points_get_equal_estimates(self, estimator: Estimator) -> None:
        """Evaluations in between have no influence."""
        generator = np.random.default_rng(1)
        points = [estimator.search_space.sample(generator) for _ in range(3)]
        first = [estimator.estimate(point) for point in points]
        again = [estimator.estimate(point) for point in reversed(points)]
        assert first == again[::-1]

    def test_every_image_leaves_somewhere(self, estimator: Estimator) -> None:
        """Exit rates, if there are any, are fractions that add up to one."""
        for point in estimator.estimate(estimator.search_space.sample(np.random.default_rng(2))).points:
            assert all(0.0 <= rate <= 1.0 for rate in point.exit_rates.values())
            assert not point.exit_rates or math.isclose(sum(point.exit_rates.values()), 1.0)

    def test_further_points_are_what_their_own_estimates_say(self, estimator: Estimator) -> None:
        """A further point differs from the first only in its thresholds, and equals its own estimate."""
        point = estimator.search_space.sample(np.random.default_rng(3))
        for further in estimator.estimate(point).further:
            assert estimator.estimate({**point, **further.thresholds}).points[0] == further

    def test_foreign_points_are_refused(self, estimator: Estimator) -> None:
        """A point of another space raises an error."""
        with pytest.raises(SearchSpaceError):
            estimator.estimate({"no_such_parameter": 1})
