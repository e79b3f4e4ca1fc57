"""Test accuracy of our networks, compared with plain networks at equal average MACs."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from benchmarks.worth_jobs import Point, Result

MOST_TIME = 1.1  # of the time budget; results of a longer command are excluded
FAMILIES = ("plain", "exit")
Curve = Sequence[Point]


@dataclass(frozen=True)
class Against:
    """Comparison with a family of plain networks over seeds, at one budget or over all budgets.

    Args:
        accuracy: The family's mean accuracy in percent.
        num_seeds: Number of seeds with results of both.
        difference: Mean paired difference of our accuracy to theirs in points.
        difference_sem: Standard error of the difference over seeds; NaN for one seed.
        error_ratio: Our mean error divided by theirs; NaN if theirs is zero.
        num_outside: Number of comparisons with our MACs outside the family's range; they use its nearest network.
    """

    accuracy: float
    num_seeds: int
    difference: float
    difference_sem: float
    error_ratio: float
    num_outside: int


@dataclass(frozen=True)
class Line:
    """Line of the table.

    Args:
        budget: Average MACs in millions; `None` for the mean over budgets.
        num_seeds: Number of seeds with one of our networks within the budget.
        num_refused: Number of seeds that are excluded because the command took too long.
        num_missing: Number of seeds without a network within the budget.
        macs: Mean of our average MACs in millions on the test images.
        accuracy: Our mean test accuracy in percent.
        against: Comparison by family; families without common seeds are omitted.
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
    """Accuracies of ours and of a family with one seed."""

    ours: float
    theirs: float
    num_outside: int


def chosen(points: Sequence[Point], budget: float) -> Point | None:
    """Return the most accurate network within a budget on the validation images; the cheapest of equal ones.

    Each network takes part with its most expensive operating point within the budget. Thresholds are tuned by expected
    accuracy, which does not decrease with the budget; the counted accuracy of a cheaper point is higher only by chance.

    Args:
        points: Trained networks at their thresholds.
        budget: Largest average MACs in millions on the validation images.
    """
    dearest: dict[str, Point] = {}
    for point in points:
        if point.validation_macs is not None and point.validation_macs <= budget:
            other = dearest.get(point.network)
            if other is None or (other.validation_macs or 0.0) < point.validation_macs:
                dearest[point.network] = point
    return max(dearest.values(), key=_merit, default=None)


def curve_of(points: Sequence[Point]) -> Curve:
    """Return the points for interpolation, sorted by MACs on the test images.

    For networks with thresholds these are the points that are `chosen` for any budget; for plain networks, all points.

    Args:
        points: Networks trained with one seed.
    """
    if any(point.validation_macs is None for point in points):
        return sorted(points, key=lambda point: point.test_macs)
    budgets = {point.validation_macs for point in points if point.validation_macs is not None}
    found = {one for budget in budgets if (one := chosen(points, budget)) is not None}
    return sorted(found, key=lambda point: point.test_macs)


def accuracy_at(curve: Curve, macs: float) -> tuple[float, bool]:
    """Interpolate a curve's test accuracy in log MACs.

    Args:
        curve: Networks, cheapest first.
        macs: Average MACs in millions.

    Returns:
        The accuracy in percent, and whether the MACs are outside the curve, where the nearest end is used.
    """
    known = [point.test_macs for point in curve]
    accuracies = [point.test_accuracy for point in curve]
    return float(np.interp(math.log(macs), np.log(known), accuracies)), not known[0] <= macs <= known[-1]


def curves(results: Sequence[Result], part: str, widths: Sequence[int]) -> dict[int, Curve]:
    """Return the curve of a part for each seed; for a family, only for seeds with all widths trained.

    Args:
        results: Results of finished jobs.
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
    """Return whether the command exceeded its time."""
    return result.part == "ours" and result.wall_seconds > MOST_TIME * 60.0 * result.minutes


def compare(results: Sequence[Result], budgets: Sequence[float], widths: Sequence[int]) -> list[Line]:
    """Compare our networks with plain ones at each budget and, for several budgets, over all of them.

    Args:
        results: Results of finished jobs.
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
    """Average over budgets, then over seeds."""
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
    """Return a sort key: higher validation accuracy, then lower MACs."""
    if point.validation_accuracy is None or point.validation_macs is None:
        raise ValueError(f"{point.network} was trained on the validation images; it cannot be chosen by them")
    return point.validation_accuracy, -point.validation_macs
