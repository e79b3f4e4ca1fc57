from dataclasses import replace
from functools import partial

import numpy as np
import pytest

from aebnas_bo.config.loading import load_config
from aebnas_bo.errors import ConfigError, EstimationError, SearchSpaceError
from aebnas_bo.estimation.estimate import Estimate, Measurement, OperatingPoint
from aebnas_bo.estimation.given_estimator import given_estimator
from aebnas_bo.space.network_space import NetworkSpace
from aebnas_bo.testing.estimator_contract import EstimatorContract

FOUND = Estimate("theirs", {"accuracy": Measurement(90.0, 1.0), "average_macs": Measurement(0.1)})


class Constant:
    def __init__(self, space: NetworkSpace, found: object = FOUND) -> None:
        self.space, self.search_space, self.found = space, space.search_space, found

    def estimate(self, point):
        self.space.architecture(point)
        return self.found


@pytest.fixture(scope="module")
def space() -> NetworkSpace:
    return NetworkSpace(load_config(None).space, 1, 10)


@pytest.fixture
def point(space: NetworkSpace):
    """A network with its first exit alone."""
    drawn = space.search_space.sample(np.random.default_rng(0))
    return space.search_space.canonical({**drawn, "exit1_depth": 1, "exit2_depth": 0, "exit1_threshold": 0.25})


class TestGivenEstimator(EstimatorContract):
    @pytest.fixture
    def estimator(self, space: NetworkSpace):
        return given_estimator(Constant, space)


@pytest.mark.parametrize("given", [Constant, partial(Constant, found=FOUND)])
def test_a_class_is_made_from_the_space_and_an_object_stays(space: NetworkSpace, point, given) -> None:
    made = given_estimator(given, space)
    assert made.name == "Constant"
    assert made.search_space is space.search_space
    assert given_estimator(Constant(space), space).estimate(point) == made.estimate(point)


def test_key_and_thresholds_follow_from_the_point(space: NetworkSpace, point) -> None:
    found = given_estimator(Constant, space).estimate(point)
    assert found == replace(FOUND, key=space.architecture(point).key, thresholds={"exit1_threshold": 0.25})


def test_exit_rates_that_are_not_named_are_zero(space: NetworkSpace, point) -> None:
    rates = {"exit1": 0.4, "final": 0.6}
    further = OperatingPoint({"accuracy": 1.0}, {"accuracy": 0.0}, rates, {"exit1_threshold": 0.5})
    found = given_estimator(Constant(space, replace(FOUND, exit_rates=rates, further=(further,))), space).estimate(
        point
    )
    assert [one.exit_rates for one in found.points] == [{"exit1": 0.4, "exit2": 0.0, "final": 0.6}] * 2
    assert [one.thresholds for one in found.points] == [{"exit1_threshold": 0.25}, {"exit1_threshold": 0.5}]


@pytest.mark.parametrize(
    ("found", "message"),
    [
        ((90.0, 0.1), "must return an aebnas_bo.Estimate, got tuple"),
        (replace(FOUND, exit_rates={"exit3": 1.0}), "exit_rates of this network can be exit1, exit2, final; got exit3"),
        (replace(FOUND, thresholds={"exit2_threshold": 1.0}), "can be exit1_threshold; got exit2_threshold"),
    ],
)
def test_what_does_not_belong_to_the_network_fails_the_trial(space: NetworkSpace, point, found, message: str) -> None:
    with pytest.raises(EstimationError, match=message):
        given_estimator(Constant(space, found), space).estimate(point)


def test_a_foreign_point_never_reaches_the_user(space: NetworkSpace) -> None:
    with pytest.raises(SearchSpaceError):
        given_estimator(Constant, space).estimate({})


@pytest.mark.parametrize("given", [3, lambda space: 3, type("NoSpace", (), {"estimate": print})()])
def test_what_is_no_estimator_is_refused(space: NetworkSpace, given) -> None:
    with pytest.raises(ConfigError, match="expected an object with search_space and estimate"):
        given_estimator(given, space)


def test_an_estimator_of_another_space_is_refused(space: NetworkSpace) -> None:
    other = NetworkSpace(load_config(None, ["space.exits=[]"]).space, 1, 10)
    with pytest.raises(ConfigError, match="Constant has a search space other than"):
        given_estimator(Constant(other), space)
