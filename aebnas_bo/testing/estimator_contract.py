"""What every `Estimator` must do; inherit the class and give it an `estimator` fixture."""

from __future__ import annotations

import math

import numpy as np
import pytest

from aebnas_bo.errors import SearchSpaceError
from aebnas_bo.estimation.estimator import Estimator


class EstimatorContract:
    """Tests for an implementation of `Estimator`."""

    def test_metrics_are_finite(self, estimator: Estimator) -> None:
        """Means and standard errors are finite, standard errors not negative."""
        estimate = estimator.estimate(estimator.search_space.sample(np.random.default_rng(0)))
        for measurement in estimate.metrics.values():
            assert math.isfinite(measurement.mean)
            assert measurement.sem >= 0.0
            assert math.isfinite(measurement.sem)

    def test_equal_points_get_equal_estimates(self, estimator: Estimator) -> None:
        """What was judged in between does not matter."""
        generator = np.random.default_rng(1)
        points = [estimator.search_space.sample(generator) for _ in range(3)]
        first = [estimator.estimate(point) for point in points]
        again = [estimator.estimate(point) for point in reversed(points)]
        assert first == again[::-1]

    def test_details_are_the_announced_ones(self, estimator: Estimator) -> None:
        """Every detail has a column."""
        estimate = estimator.estimate(estimator.search_space.sample(np.random.default_rng(2)))
        assert set(estimate.details) <= set(estimator.detail_names)

    def test_further_settings_are_what_their_own_estimates_say(self, estimator: Estimator) -> None:
        """A further setting differs from the point in its thresholds alone, and estimating there gives the same."""
        point = estimator.search_space.sample(np.random.default_rng(3))
        for setting in estimator.estimate(point).further:
            again = estimator.estimate({**point, **setting.thresholds})
            assert {name: measurement.mean for name, measurement in again.metrics.items()} == dict(setting.metrics)
            assert {name: measurement.sem for name, measurement in again.metrics.items()} == dict(setting.sems)

    def test_foreign_points_are_refused(self, estimator: Estimator) -> None:
        """A point of another space is an error, never a guess."""
        with pytest.raises(SearchSpaceError):
            estimator.estimate({"no_such_parameter": 1})
