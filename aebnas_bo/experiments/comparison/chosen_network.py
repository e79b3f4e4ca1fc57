"""The network a finished study is judged by, measured on the test images with the supernet's weights."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from aebnas_bo.config.schema import Config
from aebnas_bo.deploy.network_figures import macs_without_passed
from aebnas_bo.early_exit.outputs_in_use import outputs_in_use
from aebnas_bo.early_exit.policy import evaluate_thresholds
from aebnas_bo.errors import UsageError
from aebnas_bo.estimation.measuring import MeasuringImages, measure
from aebnas_bo.estimation.supernet_estimator import SupernetEstimator
from aebnas_bo.preparation.problem import Problem
from aebnas_bo.search.trial import Trial, completed_settings
from aebnas_bo.space.macs import MACS_PER_MILLION, exit_costs
from aebnas_bo.space.network_space import NetworkSpace

SUPERNET_WEIGHTS = "supernet"


@dataclass(frozen=True)
class ChosenNetwork:
    """What the network of choice comes to.

    Args:
        key: Key of the architecture.
        validation_accuracy: Top-1 accuracy in percent on the images the search saw.
        test_accuracy: The same on the test images, at thresholds chosen before they were seen.
        average_macs: Millions of MACs per test image, branches passed on the way charged.
        average_macs_without_passed: The same with only the branch charged where an image leaves (NACHOS, EDANAS).
        worst_case_macs: Millions of MACs of an image that never leaves early.
        exits: Early exits in use, without one at which the network ends.
        exit_rates: Share of the test images leaving at each output in use.
        weights: Where its weights come from, in words.
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
    """Return the millions of average MACs at which methods are compared: the limit, else the middle of the space."""
    return config.search.max_average_macs or space.middle_macs / MACS_PER_MILLION


def choose(trials: Sequence[Trial], max_average_macs: float) -> Trial:
    """Return the most accurate observation within a budget, the cheaper of two; without one, the cheapest of all.

    Args:
        trials: All trials, with their further settings.
        max_average_macs: Budget in millions.

    Raises:
        UsageError: If no trial was completed.
    """
    observed = completed_settings(trials)
    if not observed:
        raise UsageError("no trial was completed; there is nothing to choose from")
    within = [trial for trial in observed if trial.metrics["average_macs"] <= max_average_macs]
    if not within:
        return min(observed, key=lambda trial: trial.metrics["average_macs"])
    return max(within, key=lambda trial: (trial.metrics["accuracy"], -trial.metrics["average_macs"]))


def judge(trial: Trial, problem: Problem, estimator: SupernetEstimator) -> ChosenNetwork:
    """Measure a trial's network on the test images, at the thresholds it was chosen with.

    Args:
        trial: The observation.
        problem: Space and images.
        estimator: Has the weights and tunes thresholds that are no parameters.
    """
    space, splits = problem.space, problem.splits
    architecture = space.architecture(trial.parameters)
    given = estimator.tuned_thresholds(architecture) if space.tunes_thresholds else space.thresholds(trial.parameters)
    costs = exit_costs(architecture, space.skeleton)
    images = MeasuringImages.of(replace(splits, validation=splits.test), problem.device)
    measured, _ = measure(
        estimator.network(architecture),
        images,
        macs=costs.cumulative,
        key=architecture.key,
        config=problem.config.estimation,
    )
    used = outputs_in_use(measured, given, backbone=costs.backbone, branches=costs.branches)
    outcome = evaluate_thresholds(used.table, used.thresholds)
    own = replace(used.table, macs=macs_without_passed(costs, used.rows))
    without_passed = evaluate_thresholds(own, used.thresholds)
    return ChosenNetwork(
        key=architecture.key,
        validation_accuracy=trial.metrics["accuracy"],
        test_accuracy=outcome.accuracy,
        average_macs=outcome.average_macs / MACS_PER_MILLION,
        average_macs_without_passed=without_passed.average_macs / MACS_PER_MILLION,
        worst_case_macs=used.table.macs[-1] / MACS_PER_MILLION,
        exits=len(used.thresholds),
        exit_rates=outcome.exit_rates,
    )
