"""Threshold tuning of one network from its exit table: the whole trade-off, or the optimum for one goal.

Raising a threshold past images that are all classified correctly there cannot help: they would otherwise leave earlier,
correct and at lower cost. So the only candidate thresholds are confidences with a wrong image just below them; if a
table has probabilities instead of correctness, all confidences are candidates. An exit may be switched off, which saves
its branch, and the network may end at an exit, which saves all later layers. If few combinations remain, all are tried;
otherwise a coarse grid is tried and refined one exit at a time over all candidates.

Legend: `B` images, `E` outputs (active exits in order, then the final classifier).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import product
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from aebnas_bo.early_exit.exit_rule import ExitTable, ExitTableError, exit_indices
from aebnas_bo.early_exit.outputs_in_use import END, keep_outputs
from aebnas_bo.early_exit.threshold_grid import GridOutcome, evaluate_grid

MOST_EXACT = 2_000_000  # combinations for exhaustive search, over all subsets of outputs
MOST_COARSE = 20_000  # combinations per subset of the outputs in the first, coarse pass
MOST_REFINED = 4  # subsets of the outputs, the best of the coarse pass, that are refined
MOST_PASSES = 8  # of refinement over all exits
TARGET_WEIGHT = 0.1  # accuracy points per percent above the target, as in AEBNAS
# The network ends before later layers that gain no more than this, in standard errors of the paired difference. Even
# without a true gain, the measured gain exceeds half a standard error in three of ten samples.
TAIL_STANDARD_ERRORS = 0.5


@dataclass(frozen=True)
class TunedThresholds:
    """Thresholds with accuracy and average MACs on the images they were tuned on.

    Args:
        thresholds: One per active exit; `None` for exits that are switched off or lie behind the end of the network, 0
            for an exit at which the network ends.
        accuracy: Top-1 accuracy in percent.
        average_macs: Mean MACs per image, without branches of switched-off exits.
    """

    thresholds: tuple[float | None, ...]
    accuracy: float
    average_macs: float


@dataclass(frozen=True)
class TuningGoal:
    """Goal of threshold tuning.

    Args:
        kind: `target_macs` maximises accuracy with a penalty of `TARGET_WEIGHT` points for every percent above the
            target; `max_macs` maximises accuracy up to a limit of MACs, or minimises MACs if it cannot be met;
            `min_accuracy` minimises MACs down to a limit of accuracy, or maximises accuracy if it cannot be met.
        value: MACs per image, or accuracy in percent.
        price: Gain of accuracy, in percentage points per factor of e in MACs, that is worth the MACs up to a limit; 0
            spends them for any gain.
    """

    kind: Literal["target_macs", "max_macs", "min_accuracy"]
    value: float
    price: float = 0.0

    def scores(self, accuracy: Tensor, average_macs: Tensor) -> tuple[Tensor, Tensor]:
        """Return the score and the tie breaker, `N` each; larger is better."""
        if self.kind == "target_macs":
            excess = (average_macs - self.value).clamp_min(0.0) / self.value
            return accuracy - TARGET_WEIGHT * 100.0 * excess, -average_macs
        if self.kind == "max_macs":
            is_met = average_macs <= self.value
            profit = accuracy - self.price * (average_macs / self.value).log()
            return torch.where(is_met, profit, -average_macs), torch.where(is_met, -average_macs, accuracy)
        is_met = accuracy >= self.value
        # If the goal is met, the score decreases with cost but exceeds every accuracy below the goal.
        lifted = torch.where(is_met, 1000.0 - average_macs.log1p(), accuracy)
        return lifted, torch.where(is_met, accuracy, -average_macs)


def pareto_thresholds(
    table: ExitTable, *, backbone: Sequence[int], branches: Sequence[int], may_switch_off: bool = True
) -> list[TunedThresholds]:
    """Return the exact trade-off of accuracy and average MACs over all thresholds, cheapest first.

    Args:
        table: The network's table over `B` images.
        backbone: MACs of the backbone up to each output, `E`, ascending.
        branches: MACs of each exit's branch, `E - 1`.
        may_switch_off: Whether exits may be switched off, and the network may end at one.

    Raises:
        ExitTableError: If more than `MOST_EXACT` combinations remain, or costs do not match the table.
    """
    found: list[TunedThresholds] = []
    worst_cases: list[int] = []
    combinations = 0
    for subset, grids in _choices(table, backbone=backbone, branches=branches, may_switch_off=may_switch_off):
        combinations += math.prod(map(len, grids))
        if combinations > MOST_EXACT:
            raise ExitTableError(f"more than {MOST_EXACT} combinations of thresholds; tune for a goal instead")
        found += subset.settings(evaluate_grid(subset.table, grids))
        worst_cases += [subset.table.macs[-1]] * (len(found) - len(worst_cases))
    macs = np.array([setting.average_macs for setting in found])
    accuracy = np.array([setting.accuracy for setting in found])
    front: list[TunedThresholds] = []
    for index in np.lexsort((np.array(worst_cases), -accuracy, macs)):
        if not front or found[index].accuracy > front[-1].accuracy:
            front.append(found[index])
    return front


def tune_thresholds(
    table: ExitTable,
    *,
    backbone: Sequence[int],
    branches: Sequence[int],
    goal: TuningGoal,
    grid: Sequence[float] = (),
    may_switch_off: bool = True,
) -> TunedThresholds:
    """Tune thresholds for a goal; the result is optimal if all combinations are tried, else no worse than a grid.

    Ties in accuracy and average MACs go to the cheaper worst case. The network ends earlier if this does not increase
    average MACs and lowers accuracy by at most `TAIL_STANDARD_ERRORS`. If the table has probabilities, thresholds are
    selected by expected accuracy, but the returned accuracy is that of `is_correct`.

    Args:
        table: The network's table over `B` images.
        backbone: MACs of the backbone up to each output, `E`, ascending.
        branches: MACs of each exit's branch, `E - 1`.
        goal: Goal of tuning.
        grid: Additional thresholds to try at every exit.
        may_switch_off: Whether exits may be switched off, and the network may end at one.

    Raises:
        ExitTableError: If costs do not match the table.
    """
    choices = list(_choices(table, backbone=backbone, branches=branches, may_switch_off=may_switch_off))
    is_exact = sum(math.prod(map(len, values)) for _, values in choices) <= MOST_EXACT
    coarse = None if is_exact else grid
    found = _without_idle_tail(_search(choices, goal, coarse=coarse), choices, goal, coarse=coarse)
    whole = replace(found.subset, table=replace(found.subset.table, probability=None))
    [tuned] = whole.settings(evaluate_grid(whole.table, _singles(found.setting)))
    return tuned


@dataclass(frozen=True)
class _Subset:
    """Network with a subset of its outputs, the last of which takes all remaining images.

    Args:
        table: Table of these outputs.
        rows: Indices of the outputs among all outputs.
        num_exits: Number of exits of the whole network.
    """

    table: ExitTable
    rows: tuple[int, ...]
    num_exits: int

    def outcome(self, grids: Sequence[Tensor]) -> tuple[GridOutcome, Tensor, Tensor]:
        """Evaluate a grid; return it with accuracy in percent and average MACs, `N` each."""
        outcome = evaluate_grid(self.table, grids)
        num_images = self.table.confidence.shape[1]
        return outcome, 100.0 * outcome.num_right.double() / num_images, outcome.total_macs.double() / num_images

    def settings(self, outcome: GridOutcome) -> list[TunedThresholds]:
        """Return the combinations with an entry for every exit of the whole network."""
        num_images = self.table.confidence.shape[1]
        settings = []
        columns = (outcome.thresholds.tolist(), outcome.num_right.tolist(), outcome.total_macs.tolist())
        for thresholds, right, macs in zip(*columns, strict=True):
            placed = dict(zip(self.rows, (*thresholds, END), strict=True))
            whole = tuple(placed.get(row) for row in range(self.num_exits))
            settings.append(TunedThresholds(whole, 100.0 * right / num_images, macs / num_images))
        return settings


@dataclass(frozen=True)
class _Found:
    """Thresholds of one subset of outputs, with their score for a goal."""

    subset: _Subset
    setting: list[float]
    score: tuple[float, float, float]

    @cached_property
    def outcome(self) -> GridOutcome:
        return evaluate_grid(self.subset.table, _singles(self.setting))

    @cached_property
    def is_right(self) -> Tensor:
        """Correctness of each image, or its probability, `B`."""
        table = self.subset.table
        return table.worth.gather(0, exit_indices(table.certainty, self.setting)[None])[0].double()


_Choice = tuple[_Subset, list[Tensor]]
"""Subset of outputs with the candidate thresholds of each of its outputs except the last, ascending."""


def _choices(
    table: ExitTable, *, backbone: Sequence[int], branches: Sequence[int], may_switch_off: bool
) -> Iterator[_Choice]:
    num_exits = len(table.macs) - 1
    if len(backbone) != num_exits + 1 or len(branches) != num_exits:
        raise ExitTableError(
            f"a table of {num_exits + 1} outputs needs as many backbone costs and {num_exits} of branches, got "
            f"{len(backbone)} and {len(branches)}"
        )
    of_all = None if _depends_on_exits(table) else _candidates_of(table, may_switch_off, is_later_affected=False)
    for is_kept in product(*([(True, False) if may_switch_off else (True,)] * (num_exits + 1))):
        rows = tuple(row for row, kept in enumerate(is_kept) if kept)
        if not rows:
            continue
        subset = _Subset(keep_outputs(table, rows, backbone=backbone, branches=branches), rows, num_exits)
        values = (
            _candidates_of(subset.table, may_switch_off, is_later_affected=True)
            if of_all is None
            else [of_all[row] for row in rows[:-1]]
        )
        if all(map(len, values)):  # an exit that is always right has none: the network may as well end there
            yield subset, values


def _depends_on_exits(table: ExitTable) -> bool:
    """Return whether the certainty of an output depends on the exits that are kept before it."""
    return table.rule == "cumulative" or table.of_path is not None


def _candidates_of(table: ExitTable, may_switch_off: bool, *, is_later_affected: bool) -> list[Tensor]:
    """Return the candidate thresholds of each output except the last, ascending.

    Args:
        table: The table of the outputs.
        may_switch_off: Whether exits may be switched off.
        is_later_affected: Whether an exit that no image takes affects later ones, so that it differs from one switched
            off.
    """
    needs_unreachable = not may_switch_off or is_later_affected
    is_safe = table.is_correct if table.probability is None else torch.zeros_like(table.is_correct)
    rows = zip(table.certainty[:-1], is_safe[:-1], strict=True)
    return [_candidates(*row, needs_unreachable=needs_unreachable, may_end=may_switch_off) for row in rows]


def _candidates(certainty: Tensor, is_correct: Tensor, *, needs_unreachable: bool, may_end: bool) -> Tensor:
    """Return the confidences, ascending, that have a wrong image just below them.

    They include the lowest confidence, at which every image leaves, unless the network may end there instead. They
    include 1 if a threshold that no image reaches is needed.
    """
    values, group = certainty.double().unique(return_inverse=True)  # type: ignore[no-untyped-call]
    has_wrong = torch.zeros(len(values), dtype=torch.bool)
    has_wrong[group[~is_correct]] = True
    is_worth = torch.cat([torch.tensor([not may_end]), has_wrong[:-1]])
    kept: Tensor = values[is_worth]
    return kept if not needs_unreachable or bool(values[-1] >= 1.0) else torch.cat([kept, kept.new_ones(1)])


def _search(choices: Sequence[_Choice], goal: TuningGoal, *, coarse: Sequence[float] | None) -> _Found:
    """Return the best thresholds over several subsets.

    Args:
        choices: The subsets with their thresholds.
        goal: Goal of tuning.
        coarse: `None` to try all combinations; otherwise additional thresholds for the coarse pass.
    """
    ranked = []
    for subset, values in choices:
        tried = values if coarse is None else [_thinned(one, len(values), coarse) for one in values]
        ranked.append(_best(subset, tried, goal))
    if coarse is not None:
        of_subset = {subset.rows: values for subset, values in choices}
        ranked.sort(key=lambda found: found.score, reverse=True)
        ranked = [_refine(found, of_subset[found.subset.rows], goal) for found in ranked[:MOST_REFINED]]
    return max(ranked, key=lambda found: found.score)


def _without_idle_tail(
    best: _Found, choices: Sequence[_Choice], goal: TuningGoal, *, coarse: Sequence[float] | None
) -> _Found:
    """Return the shortest network whose score equals the best, or the best one.

    It must be as cheap on average, cheaper in the worst case, and less accurate by at most `TAIL_STANDARD_ERRORS` of
    the paired difference. A minimum accuracy stays met.
    """
    [longest] = best.subset.settings(best.outcome)
    budget = TuningGoal("max_macs", longest.average_macs)
    for end in range(best.subset.rows[-1]):
        worst_case = best.subset.table.macs[-1]
        shorter = [one for one in choices if one[0].rows[-1] == end and one[0].table.macs[-1] < worst_case]
        if not shorter:
            continue
        found = _search(shorter, budget, coarse=coarse)
        [tuned] = found.subset.settings(found.outcome)
        is_missed = goal.kind == "min_accuracy" and tuned.accuracy < goal.value <= longest.accuracy
        if tuned.average_macs <= budget.value and not is_missed and _is_as_accurate(found, best):
            return found
    return best


def _is_as_accurate(shorter: _Found, longer: _Found) -> bool:
    lost = longer.is_right - shorter.is_right
    # at least one image: smaller differences of expected accuracies are not significant
    standard_error = max(float(lost.std(correction=0)) / math.sqrt(len(lost)), 1.0 / len(lost))
    return float(lost.mean()) <= TAIL_STANDARD_ERRORS * standard_error


def _thinned(values: Tensor, num_exits: int, grid: Sequence[float]) -> Tensor:
    """Return evenly spread candidates and the grid, few enough for a coarse pass over all combinations."""
    size = max(2, math.floor(MOST_COARSE ** (1.0 / num_exits)) - len(grid))
    rows = torch.linspace(0, len(values) - 1, min(size, len(values))).round().long()
    merged: Tensor = torch.cat([values[rows], torch.tensor(list(grid), dtype=values.dtype)]).unique()  # type: ignore[no-untyped-call]
    return merged


def _best(subset: _Subset, grids: Sequence[Tensor], goal: TuningGoal) -> _Found:
    outcome, accuracy, macs = subset.outcome(grids)
    first, second = goal.scores(accuracy, macs)
    index = int(torch.where(first == first.max(), second, -torch.inf).argmax())
    score = (float(first[index]), float(second[index]), -float(subset.table.macs[-1]))
    return _Found(subset, outcome.thresholds[index].tolist(), score)


def _refine(found: _Found, grids: Sequence[Tensor], goal: TuningGoal) -> _Found:
    """Optimise one exit at a time over all its candidates until the score stops improving."""
    for _ in range(MOST_PASSES):
        before = found
        for position, values in enumerate(grids):
            tried = _singles(found.setting)
            tried[position] = torch.cat([values, tried[position]]).unique()  # type: ignore[no-untyped-call]
            moved = _best(found.subset, tried, goal)
            if moved.score > found.score:
                found = moved
        if found is before:
            break
    return found


def _singles(setting: Sequence[float]) -> list[Tensor]:
    """Return a list of one threshold for each exit."""
    return [torch.tensor([threshold], dtype=torch.float64) for threshold in setting]
