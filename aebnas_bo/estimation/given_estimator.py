"""Adapter for an estimator passed from Python, which is used instead of a supernet."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import cast

from aebnas_bo.errors import ConfigError, EstimationError
from aebnas_bo.estimation.estimate import Estimate, OperatingPoint
from aebnas_bo.estimation.estimator import Estimator
from aebnas_bo.space.network_space import NetworkSpace, threshold_name
from aebnas_bo.space.search_space import Point, SearchSpace

MakeEstimator = Callable[[NetworkSpace], Estimator]
"""Function that constructs an estimator for a network space, such as a class with this constructor."""


class GivenEstimator:
    """Wrapper of a user's estimator that adds key, thresholds and exit rates to its estimates.

    Args:
        estimator: Estimator of points of the space.
        space: The network space.
    """

    def __init__(self, estimator: Estimator, space: NetworkSpace) -> None:
        self._estimator = estimator
        self._space = space

    @property
    def name(self) -> str:
        """Name of the user's class."""
        return type(self._estimator).__name__

    @property
    def search_space(self) -> SearchSpace:
        """The flat search space of the estimator."""
        return self._space.search_space

    def estimate(self, point: Point) -> Estimate:
        """Return the user's estimate under the key of the network.

        An estimate without thresholds gets those of the point. Exit rates are optional; if only some are given, the
        others are 0.

        Raises:
            SearchSpaceError: If the point does not belong to the space.
            EstimationError: If the result is not an `Estimate`, or names an unknown output or threshold.
        """
        architecture = self._space.architecture(point)
        found: object = self._estimator.estimate(point)
        if not isinstance(found, Estimate):
            raise EstimationError(
                f"{self.name}.estimate() must return an aebnas_bo.Estimate, got {type(found).__name__}"
            )
        thresholds = [threshold_name(position) for position in architecture.active_exits]
        proposed: Mapping[str, float] = {}
        if not self._space.tunes_thresholds:
            proposed = dict(zip(thresholds, self._space.thresholds(point), strict=True))
        for one in found.points:
            self._check_names("exit_rates", one.exit_rates, self._space.output_names)
            self._check_names("thresholds", one.thresholds, thresholds)
        return replace(
            found,
            key=architecture.key,
            exit_rates=self._all_rates(found.exit_rates),
            thresholds=found.thresholds or proposed,
            further=tuple(self._completed(one, proposed) for one in found.further),
        )

    def _completed(self, point: OperatingPoint, proposed: Mapping[str, float]) -> OperatingPoint:
        rates = self._all_rates(point.exit_rates)
        return replace(point, exit_rates=rates, thresholds={**proposed, **point.thresholds})

    def _all_rates(self, rates: Mapping[str, float]) -> Mapping[str, float]:
        return {name: rates.get(name, 0.0) for name in self._space.output_names} if rates else {}

    def _check_names(self, what: str, given: Iterable[str], known: Iterable[str]) -> None:
        names = list(known)
        unknown = [name for name in given if name not in names]
        if unknown:
            raise EstimationError(
                f"{self.name}: {what} of this network can be {', '.join(names) or 'none'}; got {', '.join(unknown)}"
            )


def given_estimator(given: Estimator | MakeEstimator, space: NetworkSpace) -> GivenEstimator:
    """Wrap a user's estimator for a network space.

    Args:
        given: The estimator, or a function that constructs it from the space, such as its class.
        space: The network space.

    Raises:
        ConfigError: If it is not an estimator, or belongs to another space.
    """
    is_maker = isinstance(given, type) or not hasattr(given, "estimate")
    made = cast(Estimator, given(space) if is_maker and callable(given) else given)
    if not (callable(getattr(made, "estimate", None)) and isinstance(getattr(made, "search_space", None), SearchSpace)):
        raise ConfigError(
            "estimator: expected an object with search_space and estimate(point), or a class whose constructor takes "
            f"the network space, got {type(made).__name__}"
        )
    if made.search_space != space.search_space:
        raise ConfigError(
            f"estimator {type(made).__name__} has a search space other than the study's; pass its class, which is "
            "constructed with the study's space (an aebnas_bo.NetworkSpace). To search another space, use "
            "aebnas_bo.ax_client"
        )
    return GivenEstimator(made, space)
