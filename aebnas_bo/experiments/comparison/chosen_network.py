"""The network chosen from a finished study, measured on the test images with the supernet's weights."""

from __future__ import annotations

from dataclasses import dataclass, replace

from aebnas_bo.config.schema import Config
from aebnas_bo.deploy.network_figures import network_outcome
from aebnas_bo.estimation.measuring import MeasuringImages, measure
from aebnas_bo.estimation.supernet_estimator import SupernetEstimator
from aebnas_bo.preparation.problem import Problem
from aebnas_bo.search.trial import Observation
from aebnas_bo.space.macs import exit_costs, millions
from aebnas_bo.space.network_space import NetworkSpace

SUPERNET_WEIGHTS = "supernet"


@dataclass(frozen=True)
class ChosenNetwork:
    """Figures of the chosen network.

    Args:
        key: Key of the architecture.
        validation_accuracy: Top-1 accuracy in percent on the images the search saw.
        test_accuracy: The same on the test images, at thresholds chosen before they were seen.
        average_macs: Millions of MACs per test image, branches passed on the way charged.
        average_macs_without_passed: The same with only the branch charged where an image leaves (NACHOS, EDANAS).
        worst_case_macs: Millions of MACs of an image that never leaves early.
        exits: Early exits in use, without one at which the network ends.
        exit_rates: Share of the test images leaving at each output in use.
        weights: Origin of the weights as text.
    """

    key: str
    validation_accuracy: float
    test_accuracy: float
    average_macs: float
    average_macs_without_passed: float
    worst_case_macs: float
    exits: int
    exit_rates: tuple[float, ...]
    weights: str = SUPERNET_WEIGHTS


def budget_of(config: Config, space: NetworkSpace) -> float:
    """Return the budget of average MACs in millions at which methods are compared: the limit or the space's middle."""
    return config.search.max_average_macs or millions(space.middle_macs)


def judge(observed: Observation, problem: Problem, estimator: SupernetEstimator) -> ChosenNetwork:
    """Measure an observed network on the test images, at the thresholds it was chosen with.

    Args:
        observed: The observation.
        problem: Space and images.
        estimator: Has the weights and tunes thresholds that are no parameters.
    """
    space, splits = problem.space, problem.splits
    architecture = space.architecture(observed.parameters)
    given = (
        estimator.tuned_thresholds(architecture) if space.tunes_thresholds else space.thresholds(observed.parameters)
    )
    costs = exit_costs(architecture, space.skeleton)
    images = MeasuringImages.of(replace(splits, validation=splits.test), problem.device)
    measured, _ = measure(
        estimator.network(architecture),
        images,
        macs=costs.cumulative,
        key=architecture.key,
        config=problem.config.estimation,
    )
    network = network_outcome(measured, costs, given)
    return ChosenNetwork(
        key=architecture.key,
        validation_accuracy=observed.metrics["accuracy"],
        test_accuracy=network.outcome.accuracy,
        average_macs=network.average_macs,
        average_macs_without_passed=network.average_macs_without_passed,
        worst_case_macs=network.worst_case_macs,
        exits=len(network.used.thresholds),
        exit_rates=network.outcome.exit_rates,
    )
