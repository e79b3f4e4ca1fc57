"""The best thresholds of one network, from its exit table: the whole trade-off, or one setting for a goal.

Raising the threshold of an exit past images that are all right there can only lose: they would have left earlier, right
and for less. So of the certainties that occur only those are worth trying as a threshold that have a wrong image just
below them, and an exit may be switched off, which saves its branch. Where the combinations that remain are few, all are
tried; otherwise a grid of them, refined one exit at a time over all that occur.

Legend: `B` images, `E` outputs (active exits in order, then the final classifier).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from aebnas_bo.early_exit.policy import ExitTable, ExitTableError
from aebnas_bo.early_exit.threshold_grid import GridOutcome, evaluate_grid

MOST_EXACT = 2_000_000  # combinations, all subsets of the exits together, that are tried one by one
MOST_COARSE = 20_000  # combinations per subset of the exits in the first, coarse pass
MOST_REFINED = 4  # subsets of the exits, the best of the coarse pass, that are refined
MOST_PASSES = 8  # of refinement over all exits
TARGET_WEIGHT = 0.1  # accuracy points per percent above the target, as in AEBNAS


@dataclass(frozen=True)
class TunedThresholds:
    """Thresholds and what they come to on the images they were tuned on.

    Args:
        thresholds: One per active exit; `None` where the exit is better switched off.
        accuracy: Top-1 accuracy in percent.
        average_macs: Mean MACs per image, branches of switched-off exits not counted.
    """

    thresholds: tuple[float | None, ...]
    accuracy: float
    average_macs: float


@dataclass(frozen=True)
class TuningGoal:
    """What thresholds are tuned for.

    Args:
        kind: `target_macs`: accuracy less `TARGET_WEIGHT` points for every percent above the target (a cheaper
            network is not punished); `max_macs`: the highest accuracy that costs no more, or else the least cost;
            `min_accuracy`: the least cost that is as accurate, or else the highest accuracy.
        value: MACs per image, or accuracy in percent.
    """

    kind: Literal["target_macs", "max_macs", "min_accuracy"]
    value: float

    def scores(self, accuracy: Tensor, average_macs: Tensor) -> tuple[Tensor, Tensor]:
        """Return what counts first and what breaks ties, `N` each, larger is better."""
        if self.kind == "target_macs":
            excess = (average_macs - self.value).clamp_min(0.0) / self.value
            return accuracy - TARGET_WEIGHT * 100.0 * excess, -average_macs
        if self.kind == "max_macs":
            is_met = average_macs <= self.value
            return torch.where(is_met, accuracy, -average_macs), torch.where(is_met, -average_macs, accuracy)
        is_met = accuracy >= self.value
        # Where the goal is met the score falls with cost, yet stays above every accuracy that misses it.
        lifted = torch.where(is_met, 1000.0 - average_macs.log1p(), accuracy)
        return lifted, torch.where(is_met, accuracy, -average_macs)


def pareto_thresholds(
    table: ExitTable, backbone: Sequence[int], branches: Sequence[int], may_switch_off: bool = True
) -> list[TunedThresholds]:
    """Return the exact trade-off of accuracy and average MACs over all thresholds, cheapest first.

    Args:
        table: The network's table over `B` images.
        backbone: MACs of the backbone up to each output, `E`, ascending.
        branches: MACs of each exit's branch, `E - 1`.
        may_switch_off: Whether exits may be switched off.

    Raises:
        ExitTableError: If there are more than `MOST_EXACT` combinations left to try, or costs do not fit the table.
    """
    subsets = list(_subsets(table, backbone, branches, may_switch_off))
    found = []
    combinations = 0
    for subset, grids in zip(subsets, _candidates_of(subsets, table, may_switch_off), strict=True):
        combinations += math.prod(map(len, grids))
        if combinations > MOST_EXACT:
            raise ExitTableError(f"more than {MOST_EXACT} combinations of thresholds; tune for a goal instead")
        found += subset.settings(evaluate_grid(subset.table, grids))
    macs = np.array([setting.average_macs for setting in found])
    accuracy = np.array([setting.accuracy for setting in found])
    front: list[TunedThresholds] = []
    for index in np.lexsort((-accuracy, macs)):
        if not front or found[index].accuracy > front[-1].accuracy:
            front.append(found[index])
    return front


def tune_thresholds(
    table: ExitTable,
    backbone: Sequence[int],
    branches: Sequence[int],
    goal: TuningGoal,
    grid: Sequence[float] = (),
    may_switch_off: bool = True,
) -> TunedThresholds:
    """Return the best thresholds for a goal: exact where all combinations can be tried, else as good as any grid given.

    Args:
        table: The network's table over `B` images.
        backbone: MACs of the backbone up to each output, `E`, ascending.
        branches: MACs of each exit's branch, `E - 1`.
        goal: What counts.
        grid: Thresholds that are tried at every exit whatever else is.
        may_switch_off: Whether exits may be switched off.

    Raises:
        ExitTableError: If costs do not fit the table.
    """
    subsets = list(_subsets(table, backbone, branches, may_switch_off))
    grids = _candidates_of(subsets, table, may_switch_off)
    is_exact = sum(math.prod(map(len, values)) for values in grids) <= MOST_EXACT
    ranked: list[tuple[tuple[float, float], list[float], int]] = []
    for number, (subset, values) in enumerate(zip(subsets, grids, strict=True)):
        tried = values if is_exact else [_thinned(one, len(values), grid) for one in values]
        ranked.append((*_best(subset, tried, goal), number))
    ranked.sort(key=lambda entry: entry[0], reverse=True)
    if not is_exact:
        ranked = [
            (*_refine(subsets[number], grids[number], goal, score, setting), number)
            for score, setting, number in ranked[:MOST_REFINED]
        ]
    _, setting, number = max(ranked, key=lambda entry: entry[0])
    chosen = [torch.tensor([threshold], dtype=torch.float64) for threshold in setting]
    [tuned] = subsets[number].settings(evaluate_grid(subsets[number].table, chosen))
    return tuned


def keep_exits(
    table: ExitTable, backbone: Sequence[int], branches: Sequence[int], is_kept: Sequence[bool]
) -> ExitTable:
    """Return the table of a network whose other exits are switched off, so that nobody pays for their branches.

    Args:
        table: The network's table over `B` images.
        backbone: MACs of the backbone up to each output, `E`, ascending.
        branches: MACs of each exit's branch, `E - 1`.
        is_kept: Which exits stay, `E - 1`.
    """
    rows = [k for k, kept in enumerate(is_kept) if kept] + [len(is_kept)]
    passed = np.cumsum([cost if kept else 0 for cost, kept in zip((*branches, 0), (*is_kept, True), strict=True)])
    macs = tuple(int(backbone[k] + passed[k]) for k in rows)
    return ExitTable(table.confidence[rows], table.is_correct[rows], macs, table.rule)


@dataclass(frozen=True)
class _Subset:
    """A network with some of its exits switched off."""

    table: ExitTable
    is_kept: tuple[bool, ...]

    def of_kept(self, of_all: Sequence[Tensor]) -> list[Tensor]:
        """Return what belongs to the exits that are kept."""
        return [one for one, is_kept in zip(of_all, self.is_kept, strict=True) if is_kept]

    def outcome(self, grids: Sequence[Tensor]) -> tuple[GridOutcome, Tensor, Tensor]:
        """Evaluate a grid; return it with accuracy in percent and average MACs, `N` each."""
        outcome = evaluate_grid(self.table, grids)
        num_images = self.table.confidence.shape[1]
        return outcome, 100.0 * outcome.num_right.double() / num_images, outcome.total_macs.double() / num_images

    def settings(self, outcome: GridOutcome) -> list[TunedThresholds]:
        """Return settings with a place for every exit of the whole network."""
        num_images = self.table.confidence.shape[1]
        settings = []
        columns = (outcome.thresholds.tolist(), outcome.num_right.tolist(), outcome.total_macs.tolist())
        for thresholds, right, macs in zip(*columns, strict=True):
            kept = iter(thresholds)
            placed = tuple(next(kept) if is_kept else None for is_kept in self.is_kept)
            settings.append(TunedThresholds(placed, 100.0 * right / num_images, macs / num_images))
        return settings


def _subsets(
    table: ExitTable, backbone: Sequence[int], branches: Sequence[int], may_switch_off: bool
) -> Iterator[_Subset]:
    num_exits = len(table.macs) - 1
    if len(backbone) != num_exits + 1 or len(branches) != num_exits:
        raise ExitTableError(
            f"a table of {num_exits + 1} outputs needs as many backbone costs and {num_exits} of branches, got "
            f"{len(backbone)} and {len(branches)}"
        )
    for is_kept in product(*([(True, False) if may_switch_off else (True,)] * num_exits)):
        yield _Subset(keep_exits(table, backbone, branches, is_kept), is_kept)


def _candidates_of(subsets: Sequence[_Subset], table: ExitTable, may_switch_off: bool) -> list[list[Tensor]]:
    """Return for each subset the thresholds worth trying at each exit it keeps, ascending."""

    def of_table(one: ExitTable) -> list[Tensor]:
        rows = zip(one.certainty[:-1], one.is_correct[:-1], strict=True)
        return [_candidates(certainty, is_correct, needs_unreachable) for certainty, is_correct in rows]

    # By the cumulative rule an exit that nobody leaves is not one that is off: it adds to the certainty of later ones.
    needs_unreachable = not may_switch_off or table.rule == "cumulative"
    if table.rule == "cumulative":  # what an exit's certainty is depends on those that are kept before it
        return [of_table(subset.table) for subset in subsets]
    of_all = of_table(table)
    return [subset.of_kept(of_all) for subset in subsets]


def _candidates(certainty: Tensor, is_correct: Tensor, needs_unreachable: bool) -> Tensor:
    """Return the certainties, ascending, that are lowest of all or have a wrong image just below them.

    Where a threshold is needed that nobody reaches, 1 is one of them.
    """
    values, group = certainty.double().unique(return_inverse=True)  # type: ignore[no-untyped-call]
    has_wrong = torch.zeros(len(values), dtype=torch.bool)
    has_wrong[group[~is_correct]] = True
    is_worth = torch.cat([torch.tensor([True]), has_wrong[:-1]])
    kept: Tensor = values[is_worth]
    return kept if not needs_unreachable or bool(values[-1] >= 1.0) else torch.cat([kept, kept.new_ones(1)])


def _thinned(values: Tensor, num_exits: int, grid: Sequence[float]) -> Tensor:
    """Return evenly spread candidates and the grid, so few that a coarse pass can try all combinations."""
    size = max(2, math.floor(MOST_COARSE ** (1.0 / num_exits)) - len(grid))
    rows = torch.linspace(0, len(values) - 1, min(size, len(values))).round().long()
    merged: Tensor = torch.cat([values[rows], torch.tensor(list(grid), dtype=values.dtype)]).unique()  # type: ignore[no-untyped-call]
    return merged


def _best(subset: _Subset, grids: Sequence[Tensor], goal: TuningGoal) -> tuple[tuple[float, float], list[float]]:
    outcome, accuracy, macs = subset.outcome(grids)
    first, second = goal.scores(accuracy, macs)
    index = int(torch.where(first == first.max(), second, -torch.inf).argmax())
    return (float(first[index]), float(second[index])), outcome.thresholds[index].tolist()


def _refine(
    subset: _Subset, grids: Sequence[Tensor], goal: TuningGoal, score: tuple[float, float], setting: list[float]
) -> tuple[tuple[float, float], list[float]]:
    """Move one exit at a time to the best of all its candidates until nothing gets better."""
    for _ in range(MOST_PASSES):
        before = score
        for position, values in enumerate(grids):
            tried = [torch.tensor([t], dtype=torch.float64) for t in setting]
            tried[position] = torch.cat([values, tried[position]]).unique()  # type: ignore[no-untyped-call]
            found = _best(subset, tried, goal)
            if found[0] > score:
                score, setting = found
        if score == before:
            break
    return score, setting
