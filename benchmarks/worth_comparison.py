"""What our networks are worth: test accuracy at average MACs, next to that of plain networks of the same MACs."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from benchmarks.worth_jobs import Point, Result

MOST_TIME = 1.1  # of the time budget; figures of a command that took longer are refused
FAMILIES = ("plain", "exit")
Curve = Sequence[Point]


@dataclass(frozen=True)
class Against:
    """Our network against a family of plain ones at one budget, or at all, over seeds.

    Args:
        accuracy: The family's mean accuracy in percent.
        num_seeds: Seeds with figures of both.
        difference: Mean of our accuracy less theirs, in points, seed by seed.
        difference_sem: Its standard error over seeds; NaN of one seed.
        error_ratio: Our mean error divided by theirs; NaN where theirs is zero.
        num_outside: Comparisons in which our MACs lie outside the family's, whose nearest network is taken.
    """

    accuracy: float
    num_seeds: int
    difference: float
    difference_sem: float
    error_ratio: float
    num_outside: int


@dataclass(frozen=True)
class Line:
    """One line of the table.

    Args:
        budget: Average MACs in millions; `None` of the mean over budgets.
        num_seeds: Seeds with a network of ours within the budget.
        num_refused: Seeds whose figures are refused, as the command took too long.
        num_missing: Seeds without a network within the budget.
        macs: Mean of our average MACs in millions on test images.
        accuracy: Our mean accuracy in percent on them.
        against: By family; families without common seeds are left out.
    """

    budget: float | None
    num_seeds: int
    num_refused: int
    num_missing: int
    macs: float
    accuracy: float
    against: Mapping[str, Against]


@dataclass(frozen=True)
class Pair:
    """Our accuracy and a family's with one seed."""

    ours: float
    theirs: float
    num_outside: int


def chosen(points: Sequence[Point], budget: float) -> Point | None:
    """Return the most accurate network within a budget, by validation images alone; of equals the cheapest.

    Args:
        points: Trained networks at their thresholds.
        budget: Most average MACs in millions on validation images.
    """
    within = [point for point in points if point.validation_macs is not None and point.validation_macs <= budget]
    return max(within, key=_merit, default=None)


def curve_of(points: Sequence[Point]) -> Curve:
    """Return what is interpolated between, by MACs on test images.

    Networks with thresholds are those that no other beats on validation images; plain networks are all of them.

    Args:
        points: Networks trained with one seed.
    """
    if any(point.validation_macs is None for point in points):
        return sorted(points, key=lambda point: point.test_macs)
    front: list[Point] = []
    for point in sorted(points, key=lambda point: (point.validation_macs, *(-value for value in _merit(point)))):
        if not front or _merit(point)[0] > _merit(front[-1])[0]:
            front.append(point)
    return sorted(front, key=lambda point: point.test_macs)


def accuracy_at(curve: Curve, macs: float) -> tuple[float, bool]:
    """Interpolate a curve's test accuracy in log MACs.

    Args:
        curve: Networks, cheapest first.
        macs: Average MACs in millions.

    Returns:
        The accuracy in percent, and whether the MACs lie outside the curve, where the nearest end is taken.
    """
    known = [point.test_macs for point in curve]
    accuracies = [point.test_accuracy for point in curve]
    return float(np.interp(math.log(macs), np.log(known), accuracies)), not known[0] <= macs <= known[-1]


def curves(results: Sequence[Result], part: str, widths: Sequence[int]) -> dict[int, Curve]:
    """Return the curve of a part for each seed; of a family, for seeds of which all widths are trained.

    Args:
        results: What finished jobs left.
        part: `ours`, `plain`, `exit` or `reference`.
        widths: Widths of a family.
    """
    points: dict[int, list[Point]] = {}
    for result in results:
        if result.part == part and not is_refused(result):
            points.setdefault(result.seed, []).extend(result.points)
    needed = 0 if part == "ours" else len(widths)
    return {
        seed: curve_of(some)
        for seed, some in sorted(points.items())
        if len({point.network for point in some}) >= needed
    }


def is_refused(result: Result) -> bool:
    """Return whether the command took longer than it may."""
    return result.part == "ours" and result.wall_seconds > MOST_TIME * 60.0 * result.minutes


def compare(results: Sequence[Result], budgets: Sequence[float], widths: Sequence[int]) -> list[Line]:
    """Compare our networks with plain ones, budget by budget and, where there are several, over all of them.

    Args:
        results: What finished jobs left.
        budgets: Average MACs in millions.
        widths: Widths of the plain families.
    """
    ours = {result.seed: result for result in results if result.part == "ours"}
    accepted = {seed: result for seed, result in ours.items() if not is_refused(result)}
    families = {part: curves(results, part, widths) for part in FAMILIES}
    found = {
        (budget, seed): point
        for budget in budgets
        for seed, result in sorted(accepted.items())
        if (point := chosen(result.points, budget)) is not None
    }
    num_refused = len(ours) - len(accepted)
    lines = []
    for budget in budgets:
        its = {seed: [point] for (one, seed), point in found.items() if one == budget}
        lines.append(_line(budget, its, families, num_refused=num_refused, num_missing=len(accepted) - len(its)))
    if len(budgets) > 1:
        whole = {seed: [found[b, seed] for b in budgets if (b, seed) in found] for seed in accepted}
        whole = {seed: points for seed, points in whole.items() if len(points) == len(budgets)}
        lines.append(_line(None, whole, families, num_refused=num_refused, num_missing=len(accepted) - len(whole)))
    return lines


def _line(
    budget: float | None,
    points: Mapping[int, Sequence[Point]],
    families: Mapping[str, Mapping[int, Curve]],
    *,
    num_refused: int,
    num_missing: int,
) -> Line:
    """Average over seeds what each seed's points, one per budget, average to."""
    found = {}
    for part, curve_by_seed in families.items():
        pairs = [_pair(points[seed], curve) for seed, curve in curve_by_seed.items() if seed in points]
        if pairs:
            found[part] = against(pairs)
    macs = [math.exp(statistics.mean(math.log(point.test_macs) for point in some)) for some in points.values()]
    accuracies = [statistics.mean(point.test_accuracy for point in some) for some in points.values()]
    return Line(
        budget=budget,
        num_seeds=len(points),
        num_refused=num_refused,
        num_missing=num_missing,
        macs=statistics.mean(macs) if macs else math.nan,
        accuracy=statistics.mean(accuracies) if accuracies else math.nan,
        against=found,
    )


def _pair(points: Sequence[Point], curve: Curve) -> Pair:
    theirs = [accuracy_at(curve, point.test_macs) for point in points]
    return Pair(
        ours=statistics.mean(point.test_accuracy for point in points),
        theirs=statistics.mean(accuracy for accuracy, _ in theirs),
        num_outside=sum(is_outside for _, is_outside in theirs),
    )


def against(pairs: Sequence[Pair]) -> Against:
    """Average pairs of accuracies over seeds."""
    differences = [pair.ours - pair.theirs for pair in pairs]
    ours, theirs = (
        statistics.mean(values) for values in zip(*((pair.ours, pair.theirs) for pair in pairs), strict=True)
    )
    is_many = len(pairs) > 1
    return Against(
        accuracy=theirs,
        num_seeds=len(pairs),
        difference=statistics.mean(differences),
        difference_sem=statistics.stdev(differences) / math.sqrt(len(pairs)) if is_many else math.nan,
        error_ratio=(100.0 - ours) / (100.0 - theirs) if theirs < 100.0 else math.nan,
        num_outside=sum(pair.num_outside for pair in pairs),
    )


def _merit(point: Point) -> tuple[float, float]:
    """Order points by validation accuracy, then by low MACs."""
    if point.validation_accuracy is None or point.validation_macs is None:
        raise ValueError(f"{point.network} was trained on the validation images; it cannot be chosen by them")
    return point.validation_accuracy, -point.validation_macs
