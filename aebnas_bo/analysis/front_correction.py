"""Accuracy of the front corrected for selection bias: select on one half of the validation images, score on the other.

The search tunes thresholds and selects networks on the images that it reports accuracy on, so accuracies of the best
are biased upwards. Two corrections use only the exit tables of the validation images. Each is a mean over
`NUM_HALVINGS` random halvings, with each half in both roles:

* thresholds: a front network is tuned on one half for its average MACs in the search, and scored on the other;
* choice: the front of all observations is selected by accuracy on one half, and scored on the other, with fixed
  thresholds.

Halves are noisier than the whole, so both overestimate its optimism slightly. Neither corrects for the proposals, which
depend on the accuracies of all earlier trials, or for the supernet.

Legend: `B` images, `E` outputs.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from aebnas_bo.analysis.pareto import front_positions, pareto_front
from aebnas_bo.early_exit.exit_rule import ExitTable, evaluate_thresholds, exit_indices
from aebnas_bo.early_exit.outputs_in_use import outputs_in_use
from aebnas_bo.early_exit.threshold_tuning import TuningGoal, tune_thresholds
from aebnas_bo.search.objectives import Objective
from aebnas_bo.search.trial import Observation, Place, Trial, observations
from aebnas_bo.seeding import torch_generator
from aebnas_bo.space.architecture import Architecture
from aebnas_bo.space.macs import MACS_PER_MILLION, ExitCosts, exit_costs, millions
from aebnas_bo.space.network_space import NetworkSpace, threshold_name

NUM_HALVINGS = 4

TableOf = Callable[[Architecture], ExitTable]
Halves = Sequence[tuple[Tensor, Tensor]]


@dataclass(frozen=True)
class CorrectedPoint:
    """A front network with thresholds tuned on one half of the validation images.

    Args:
        accuracy: Accuracy in percent on the other half.
        tuned_accuracy: Accuracy in percent on the half that thresholds were tuned on.
        average_macs: Mean MACs in millions on the other half.
    """

    accuracy: float
    tuned_accuracy: float
    average_macs: float


@dataclass(frozen=True)
class FrontCorrection:
    """The front corrected for selection.

    Args:
        points: Corrected points of the front by place.
        threshold_optimism: Mean over the front of the accuracy on the half used for tuning minus that on the other, in
            percentage points; `None` without a front.
        choice_optimism: The same difference for a front selected on one half; `None` without a front.
    """

    points: Mapping[Place, CorrectedPoint]
    threshold_optimism: float | None
    choice_optimism: float | None


def correct_front(
    trials: Sequence[Trial], objectives: Sequence[Objective], space: NetworkSpace, *, table_of: TableOf, seed: int
) -> FrontCorrection:
    """Correct the front of a study.

    Args:
        trials: All trials.
        objectives: The metrics.
        space: The network space.
        table_of: Function from an architecture to its exit table over the validation images, with all its exits.
        seed: Seed of the halvings.
    """
    front = pareto_front(trials, objectives)
    if not front:
        return FrontCorrection({}, None, None)
    num_images = table_of(space.architecture(front[0].parameters)).confidence.shape[1]
    halves = random_halves(num_images, seed)
    points = {}
    for one in front:
        architecture = space.architecture(one.parameters)
        costs = exit_costs(architecture, space.skeleton)
        most_macs = one.metrics["average_macs"] * MACS_PER_MILLION
        points[one.place] = cross_fitted(table_of(architecture), costs, most_macs, halves=halves)
    return FrontCorrection(
        points=points,
        threshold_optimism=statistics.mean(one.tuned_accuracy - one.accuracy for one in points.values()),
        choice_optimism=choice_optimism(
            observations(trials),
            lambda one: _is_correct(one, space, table_of),
            objectives,
            halves=halves,
        ),
    )


def random_halves(num_images: int, seed: int) -> list[tuple[Tensor, Tensor]]:
    """Return pairs of halves, each pair in both orders.

    Args:
        num_images: `B`, two or more.
        seed: Seed of the study.

    Returns:
        `2 * NUM_HALVINGS` pairs of positions.
    """
    generator = torch_generator(seed, "analysis", "halves")
    pairs = []
    for _ in range(NUM_HALVINGS):
        order = torch.randperm(num_images, generator=generator)
        one, other = order[: num_images // 2], order[num_images // 2 :]
        pairs += [(one, other), (other, one)]
    return pairs


def cross_fitted(table: ExitTable, costs: ExitCosts, most_macs: float, *, halves: Halves) -> CorrectedPoint:
    """Tune thresholds on one half of the images and score them on the other.

    Args:
        table: The network's table over `B` images, all exits.
        costs: MACs of the network.
        most_macs: Limit of average MACs on the half used for tuning.
        halves: Pairs of the half to tune on and the half to score.
    """
    goal = TuningGoal("max_macs", most_macs)
    rows = []
    for tuned_on, scored_on in halves:
        part = _part(table, tuned_on)
        tuned = tune_thresholds(part, backbone=costs.backbone, branches=costs.branches, goal=goal)
        rest = _part(table, scored_on)
        used = outputs_in_use(rest, tuned.thresholds, backbone=costs.backbone, branches=costs.branches)
        outcome = evaluate_thresholds(used.table, used.thresholds)
        rows.append((outcome.accuracy, tuned.accuracy, millions(outcome.average_macs)))
    return CorrectedPoint(*(statistics.mean(column) for column in zip(*rows, strict=True)))


def choice_optimism(
    observed: Sequence[Observation],
    is_correct: Callable[[Observation], Tensor],
    objectives: Sequence[Objective],
    *,
    halves: Halves,
) -> float | None:
    """Return the accuracy of a front on the half used for its selection minus that on the other, in percentage points.

    Args:
        observed: All observations; their costs are kept.
        is_correct: Function from an observation to the correctness of each image, `B` booleans.
        objectives: The metrics.
        halves: Pairs of the half for selection and the half for scoring.

    Returns:
        The mean over fronts; `None` if no half has a feasible front.
    """
    percents = [100.0 * is_correct(one).double() for one in observed]
    gaps = []
    for picked_by, scored_on in halves:
        scored = [
            {**one.metrics, "accuracy": float(correct[picked_by].mean())}
            for one, correct in zip(observed, percents, strict=True)
        ]
        front = front_positions(scored, objectives)
        if front:
            other = [float(percents[position][scored_on].mean()) for position in front]
            gaps.append(statistics.mean(scored[position]["accuracy"] for position in front) - statistics.mean(other))
    return statistics.mean(gaps) if gaps else None


def thresholds_of(observed: Observation, space: NetworkSpace) -> tuple[float | None, ...]:
    """Return the thresholds a network was evaluated at.

    Args:
        observed: The observation.
        space: Its space.

    Returns:
        One per exit; `None` for exits that tuning switched off, 0 for an exit at which the network ends.
    """
    active = space.architecture(observed.parameters).active_exits
    return tuple(observed.point.thresholds.get(threshold_name(position)) for position in active)


def _is_correct(observed: Observation, space: NetworkSpace, table_of: TableOf) -> Tensor:
    architecture = space.architecture(observed.parameters)
    costs, thresholds = exit_costs(architecture, space.skeleton), thresholds_of(observed, space)
    used = outputs_in_use(table_of(architecture), thresholds, backbone=costs.backbone, branches=costs.branches)
    leaves_at = exit_indices(used.table.certainty, used.thresholds)
    return used.table.is_correct.gather(0, leaves_at[None])[0]


def _part(table: ExitTable, images: Tensor) -> ExitTable:
    return replace(table, confidence=table.confidence[:, images], is_correct=table.is_correct[:, images])
