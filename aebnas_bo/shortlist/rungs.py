"""Successive halving over a short list: every rung trains fewer networks for longer.

Each rung trains its networks from fresh weights with a whole learning-rate schedule, measures them on the validation
images and keeps the best for each goal. Differences are paired: both networks answer the same images. After a short
training networks of other shapes can look better than they will be, so a plain network within the goal leads unless
another is more accurate by `PLAIN_STANDARD_ERRORS` standard errors of the paired difference. Large networks need
longer, so of the plain networks that hardly rely on exits the largest leads, unless another one is more accurate by
`SIZE_STANDARD_ERRORS`.

Source: successive halving, Jamieson and Talwalkar, AISTATS 2016, algorithm 1.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from torch import Tensor

from aebnas_bo.early_exit.exit_rule import ExitTable, exit_indices
from aebnas_bo.early_exit.expected_accuracy import tune_by_expected_accuracy
from aebnas_bo.early_exit.outputs_in_use import outputs_in_use
from aebnas_bo.early_exit.threshold_tuning import TuningGoal
from aebnas_bo.shortlist.contenders import PLAIN_MACS, Contender, Origin, Score, score
from aebnas_bo.space.architecture import Skeleton
from aebnas_bo.space.macs import exit_costs, millions

PLAIN_STANDARD_ERRORS = 1.0  # by which a network must be ahead of a plain one to replace it
SIZE_STANDARD_ERRORS = 2.0  # by which a plain network must be ahead of a larger one to replace it

TrainShort = Callable[[Contender, int], ExitTable]
"""Function from a contender and a number of epochs to its exit table over the validation images."""


@runtime_checkable
class TrainsTogether(Protocol):
    """A function for short trainings that can also run those of a rung at the same time."""

    def train_all(self, rung: Sequence[tuple[Contender, int]]) -> None:
        """Train all networks of a rung, each for its epochs; their tables are then known."""

    def __call__(self, contender: Contender, epochs: int) -> ExitTable:
        """Return the table of a network."""


EpochsOf = Callable[[Contender, int], int]
"""Function from a contender and the epochs of its rung to the epochs of this contender."""


def equal_epochs(_: Contender, epochs: int) -> int:
    """Return the epochs of the rung."""
    return epochs


@dataclass(frozen=True)
class RungResult:
    """Evaluation of one network of a rung, with thresholds tuned for one goal.

    Args:
        rung: Rung, from 0.
        epochs: Epochs of its training.
        key: Key of the architecture.
        goal: Goal of threshold tuning.
        estimate: Accuracy in percent as estimated by the search, at its best thresholds for the goal.
        accuracy: Accuracy on the validation images in percent.
        average_macs: Average MACs there in millions.
        behind: Accuracy of the leader of the rung for this goal minus its own, in percentage points; negative if a
            plain network leads because no other is significantly better.
        behind_sem: Standard error of that paired difference.
        is_met: Whether it meets the goal.
        is_kept: Whether it is on the next rung or, on the last rung, chosen for this goal.
        origin: How it came onto the list.
    """

    rung: int
    epochs: int
    key: str
    goal: TuningGoal
    estimate: float
    accuracy: float
    average_macs: float
    behind: float
    behind_sem: float
    is_met: bool
    is_kept: bool
    origin: Origin = "estimate"


@dataclass(frozen=True)
class Tuned:
    """A trained network at the thresholds that are best for one goal.

    Args:
        contender: The network.
        thresholds: Threshold of each active exit; see `TunedThresholds`.
        end: MACs of its whole backbone.
        accuracy: Accuracy on the validation images in percent.
        average_macs: Average MACs there.
        is_right: Whether each image is classified correctly, 0 or 1.
    """

    contender: Contender
    thresholds: tuple[float | None, ...]
    end: int
    accuracy: float
    average_macs: float
    is_right: Tensor

    def merit(self, goal: TuningGoal) -> Score:
        """Return the score for a goal; larger is better."""
        return score(goal, self.accuracy, self.average_macs)

    def meets(self, goal: TuningGoal) -> bool:
        """Return whether it meets the goal."""
        return self.accuracy >= goal.value if goal.kind == "min_accuracy" else self.average_macs <= goal.value


TunedNetworks = Mapping[TuningGoal, Sequence[Tuned]]
"""Trained networks at the thresholds tuned for each goal."""


def climb(
    contenders: Sequence[Contender],
    goals: Sequence[TuningGoal],
    rungs: Sequence[tuple[int, int]],
    *,
    skeleton: Skeleton,
    train: TrainShort,
    epochs_of: EpochsOf = equal_epochs,
) -> tuple[list[Contender], list[RungResult]]:
    """Train all rungs and return the winner for each goal, with all evaluations.

    Args:
        contenders: The short list.
        goals: Goals of threshold tuning.
        rungs: Networks and epochs of each rung.
        skeleton: The fixed part of the space.
        train: Function for a short training; equal arguments must give equal tables. If it `TrainsTogether`, the
            networks of a rung are trained at the same time.
        epochs_of: Epochs of each network of a rung; by default the epochs of the rung.

    Returns:
        One network per goal (a network may win several), and one evaluation per rung, goal and network.
    """
    left, rung_results = list(contenders), []
    for number, (count, epochs) in enumerate(rungs):
        left = left[:count]
        own = {contender.key: epochs_of(contender, epochs) for contender in left}
        if isinstance(train, TrainsTogether):
            train.train_all([(contender, own[contender.key]) for contender in left])
        tables = {contender.key: train(contender, own[contender.key]) for contender in left}
        tuned = [
            [tune(contender, tables[contender.key], goal, skeleton=skeleton) for contender in left] for goal in goals
        ]
        ranked = [_ranked(of_goal, goal) for of_goal, goal in zip(tuned, goals, strict=True)]
        is_last = number + 1 == len(rungs)
        left = [of_goal[0].contender for of_goal in ranked] if is_last else _best_in_turn(ranked, rungs[number + 1][0])
        kept = {contender.key for contender in left}
        for goal, of_goal in zip(goals, ranked, strict=True):
            best = {of_goal[0].contender.key} if is_last else kept
            rung_results += [_judged(number, own, goal, one=one, best=of_goal[0], kept=best) for one in of_goal]
    return left, rung_results


def _ranked(of_goal: Sequence[Tuned], goal: TuningGoal) -> list[Tuned]:
    """Return networks best first; a plain one precedes them unless the best is clearly better."""
    ranked = sorted(of_goal, key=lambda one: one.merit(goal), reverse=True)
    plain = [one for one in ranked if one.contender.is_plain and one.meets(goal)]
    if not plain or goal.kind != "max_macs" or _is_ahead(ranked[0], plain[0], PLAIN_STANDARD_ERRORS):
        return ranked
    hardly_leaving = [one for one in plain if one.end <= PLAIN_MACS * goal.value]
    level = [one for one in hardly_leaving if not _is_ahead(plain[0], one, SIZE_STANDARD_ERRORS)]
    leader = max([plain[0], *level], key=lambda one: one.end)
    return [leader, *(one for one in ranked if one is not leader)]


def _is_ahead(one: Tuned, other: Tuned, standard_errors: float) -> bool:
    behind, spread = _difference(one, other)
    return behind > standard_errors * spread


def _difference(one: Tuned, other: Tuned) -> tuple[float, float]:
    """Return the paired difference in accuracy of two networks and its standard error, as fractions."""
    difference = one.is_right - other.is_right
    spread = float(difference.std()) / math.sqrt(len(difference)) if len(difference) > 1 else 0.0
    return float(difference.mean()), spread


def _best_in_turn(ranked: Sequence[Sequence[Tuned]], count: int) -> list[Contender]:
    chosen: dict[str, Contender] = {}
    for place in range(len(ranked[0])):
        for of_goal in ranked:
            if len(chosen) < count:
                chosen.setdefault(of_goal[place].contender.key, of_goal[place].contender)
    return list(chosen.values())


def tune(contender: Contender, table: ExitTable, goal: TuningGoal, *, skeleton: Skeleton) -> Tuned:
    """Tune the thresholds of a trained network for a goal.

    Args:
        contender: The network.
        table: Its table over the validation images.
        goal: The goal.
        skeleton: The fixed part of the space.
    """
    costs = exit_costs(contender.architecture, skeleton)
    found = tune_by_expected_accuracy(table, backbone=costs.backbone, branches=costs.branches, goal=goal)
    used = outputs_in_use(table, found.thresholds, backbone=costs.backbone, branches=costs.branches)
    leaves_at = exit_indices(used.table.certainty, used.thresholds)
    is_right = used.table.is_correct.gather(0, leaves_at[None])[0].double()
    return Tuned(contender, found.thresholds, costs.backbone[-1], found.accuracy, found.average_macs, is_right)


def _judged(
    rung: int, epochs: Mapping[str, int], goal: TuningGoal, *, one: Tuned, best: Tuned, kept: set[str]
) -> RungResult:
    behind, spread = _difference(best, one)
    return RungResult(
        rung=rung,
        epochs=epochs[one.contender.key],
        key=one.contender.key,
        goal=goal,
        estimate=one.contender.observations[goal].metrics["accuracy"],
        accuracy=one.accuracy,
        average_macs=millions(one.average_macs),
        behind=100.0 * behind,
        behind_sem=100.0 * spread,
        is_met=one.meets(goal),
        is_kept=one.contender.key in kept,
        origin=one.contender.origin,
    )
