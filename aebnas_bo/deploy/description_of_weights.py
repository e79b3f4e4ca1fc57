"""Description of trained weights: thresholds tuned on validation images, figures on both splits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from aebnas_bo.data.images import LabelledImages
from aebnas_bo.data.splits import Splits
from aebnas_bo.deploy.description import NetworkDescription, Origin, Original, Output
from aebnas_bo.deploy.network_figures import MeasuredSplit, figures_at, macs_without_passed, output_names
from aebnas_bo.deploy.operating_points import BudgetPoint, operating_points, tuned_with_margins
from aebnas_bo.deploy.training_folders import Training
from aebnas_bo.early_exit.exit_ensemble import NO_ENSEMBLE, ExitEnsemble, fit_ensemble
from aebnas_bo.early_exit.exit_rule import ExitPath
from aebnas_bo.early_exit.outputs_in_use import outputs_in_use, paths_to
from aebnas_bo.early_exit.threshold_tuning import TuningGoal
from aebnas_bo.estimation.measuring import MeasuringImages, exit_table, fit_temperatures, output_logits
from aebnas_bo.estimation.settings import EstimationConfig
from aebnas_bo.preparation.problem import Problem
from aebnas_bo.space.architecture import Architecture, Skeleton
from aebnas_bo.space.macs import ExitCosts, exit_costs, millions
from aebnas_bo.storage.version import __version__
from aebnas_bo.supernet.subnet import Subnet
from aebnas_bo.training.settings import FinalTrainingConfig


@dataclass(frozen=True)
class Measurable:
    """Network with everything needed to measure its figures.

    Args:
        architecture: The network.
        skeleton: The fixed part of its space.
        splits: The images.
        estimation: Confidence measure, exit rule and temperatures.
        goal: Goal of threshold tuning.
        estimated_accuracy: Accuracy in percent as estimated by the search; `None` for networks that were not searched.
        has_ensemble: Whether outputs predict together with the exits before them.
    """

    architecture: Architecture
    skeleton: Skeleton
    splits: Splits
    estimation: EstimationConfig
    goal: TuningGoal
    estimated_accuracy: float | None = None
    has_ensemble: bool = False

    @property
    def costs(self) -> ExitCosts:
        """Its MACs."""
        return exit_costs(self.architecture, self.skeleton)


def origin_of(problem: Problem, recipe: FinalTrainingConfig, training: Training) -> Origin:
    """Return the provenance of a trained network.

    Args:
        problem: The problem of its study, with the training images.
        recipe: The training recipe.
        training: Identity of the training.
    """
    config = problem.config
    return Origin(
        study=config.name,
        dataset=config.data.dataset if config.data.root is None else Path(config.data.root).name,
        train_images=len(problem.splits.train),
        seed=training.seed,
        epochs=recipe.epochs,
        start=recipe.start,
        version=__version__,
        recipe=training.recipe,
        fingerprint=training.fingerprint,
    )


@torch.no_grad()
def describe_network(
    network: Measurable, subnet: Subnet, origin: Origin, *, device: str
) -> tuple[NetworkDescription, list[BudgetPoint]]:
    """Tune thresholds on validation images, for the goal and for other budgets, and measure once on test images.

    The final classifier on a given backbone counts as the original network; one whose weights changed is replaced by
    the caller.

    Args:
        network: The network.
        subnet: Its weights.
        origin: Its provenance.
        device: Device that it runs on.
    """
    splits, costs, estimation, key = network.splits, network.costs, network.estimation, network.architecture.key
    if estimation.temperature_scaling:
        temperatures = fit_temperatures(subnet, MeasuringImages.of(splits, device), estimation)
    else:
        temperatures = [1.0] * len(costs.cumulative)

    def logits_of(split: LabelledImages) -> list[Tensor]:
        outputs = output_logits(subnet, splits.normalized_batches(split.images, estimation.batch_size, device=device))
        return [output / temperature for output, temperature in zip(outputs, temperatures, strict=True)]

    on_validation = logits_of(splits.validation)
    ensemble = fit_ensemble(on_validation, splits.validation.labels) if network.has_ensemble else NO_ENSEMBLE

    def measured(outputs: Sequence[Tensor], labels: Tensor) -> MeasuredSplit:
        table = exit_table(outputs, labels, macs=costs.cumulative, key=key, config=estimation, ensemble=ensemble)
        return MeasuredSplit(table, labels, outputs, estimation.confidence, ensemble)

    validation = measured(on_validation, splits.validation.labels)
    thresholds = tuned_with_margins(validation.table, costs, network.goal)
    test = measured(logits_of(splits.test), splits.test.labels)
    given = network.skeleton.given
    used = outputs_in_use(validation.table, thresholds, backbone=costs.backbone, branches=costs.branches)
    names, own = output_names(costs, used.rows), macs_without_passed(costs, used.rows)
    outputs = zip(names, (*used.thresholds, None), paths_to(used.rows), used.table.macs, own, strict=True)
    description = NetworkDescription(
        key=key,
        architecture=network.architecture,
        skeleton=network.skeleton,
        class_names=splits.class_names,
        image_size=splits.image_size,
        picture_conversion=splits.origin.conversion,
        mean=splits.mean,
        std=splits.std,
        confidence=estimation.confidence,
        exit_rule=estimation.exit_rule,
        outputs=tuple(
            Output(
                name=name, threshold=threshold, macs=macs, macs_without_passed=macs_of_own,
                **_scaling(path, ensemble, temperatures),
            )
            for name, threshold, path, macs, macs_of_own in outputs
        ),
        estimated_accuracy=network.estimated_accuracy,
        validation=figures_at(validation, costs, thresholds),
        test=figures_at(test, costs, thresholds),
        origin=origin,
        original=None if given is None else Original(
            validation_accuracy=_own_accuracy(validation),
            test_accuracy=_own_accuracy(test),
            macs=millions(given.macs),
        ),
    )  # fmt: skip
    return description, operating_points(validation, test, costs, price=network.goal.price)


def _scaling(path: ExitPath, ensemble: ExitEnsemble, temperatures: Sequence[float]) -> dict[str, Any]:
    """Return temperature and weights of an output in the description; weights include the temperatures."""
    if path not in ensemble.weights:
        return {"temperature": temperatures[path[-1]]}
    weights = zip(ensemble.weights[path], (temperatures[row] for row in path), strict=True)
    return {"weights": tuple(weight / temperature for weight, temperature in weights)}


def _own_accuracy(measured: MeasuredSplit) -> float:
    """Return the accuracy of the final classifier alone in percent."""
    final = (len(measured.outputs) - 1,)
    return 100.0 * float((measured.predictions(final) == measured.labels).double().mean())
