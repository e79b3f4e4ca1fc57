"""Comparison of methods on one problem: hypervolume, distance to the best known front, speed, significance."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy.stats import mannwhitneyu

from benchmarks.curves import Run, median_seconds

OURS = "qnehvi"
USES_SETTINGS = (OURS, "qnehvi-q4")  # methods that use further operating points, and are measured with them
SMALLEST_DIFFERENCE = 1e-3  # smallest difference to the best known hypervolume of which the logarithm is taken
FEWEST_SEEDS = 4  # for a significance test

Measure = Literal["own", "settings"]
"""`own`: what each method returns, which for ours includes further operating points. `settings`: every method gets the
further operating points of the networks it proposed."""


@dataclass(frozen=True)
class Result:
    """One method on one problem at one number of evaluations.

    Args:
        method: Name of the method.
        num_seeds: Number of runs.
        evaluations: Number of evaluations of each run.
        mean: Mean hypervolume.
        median: Median hypervolume.
        low: Lower quartile of the hypervolume.
        high: Upper quartile of the hypervolume.
        log_difference: Median of log10 of the difference to the best known hypervolume.
        area: Mean of that difference over all evaluations, averaged over the runs.
        reached: Median number of evaluations until our runs reach this method's mean; `None` if fewer than half do.
        seconds: Median seconds per proposal.
        p_value: Wilcoxon rank-sum test with Holm's correction, against the hypothesis that our hypervolumes are not
            larger. `None` for ours and for too few runs.
    """

    method: str
    num_seeds: int
    evaluations: int
    mean: float
    median: float
    low: float
    high: float
    log_difference: float
    area: float
    reached: int | None
    seconds: float
    p_value: float | None


def curve_of(run: Run, measure: Measure) -> np.ndarray:
    """Return a run's hypervolume after each evaluation."""
    is_with_settings = measure == "settings" or run.method in USES_SETTINGS
    return np.array(run.settings if is_with_settings else run.trials)


def has_settings(runs: Sequence[Run]) -> bool:
    """Whether further threshold settings count in any run, so that the two measures differ."""
    return any(run.trials != run.settings for run in runs)


def compare(runs: Sequence[Run], best: float, evaluations: int, measure: Measure) -> list[Result]:
    """Compare the methods of one problem, sorted by mean; shorter runs are ignored.

    Args:
        runs: All runs of the problem.
        best: Best known hypervolume.
        evaluations: Number of evaluations after which methods are compared.
        measure: Which operating points count.
    """
    by_method: dict[str, list[Run]] = {}
    for run in runs:
        if len(run.trials) >= evaluations:
            by_method.setdefault(run.method, []).append(run)
    curves = {name: np.stack([curve_of(r, measure)[:evaluations] for r in its]) for name, its in by_method.items()}
    p_values = holm(_p_values({name: curve[:, -1] for name, curve in curves.items()}))
    results = []
    for name, curve in curves.items():
        final, difference = curve[:, -1], np.maximum(best - curve, SMALLEST_DIFFERENCE)
        results.append(
            Result(
                method=name,
                num_seeds=len(final),
                evaluations=evaluations,
                mean=float(final.mean()),
                median=float(np.median(final)),
                low=float(np.quantile(final, 0.25)),
                high=float(np.quantile(final, 0.75)),
                log_difference=float(np.median(np.log10(difference[:, -1]))),
                area=float(difference.mean()),
                reached=evaluations_to_reach(curves.get(OURS), float(final.mean())),
                seconds=float(np.median([median_seconds(run) for run in by_method[name]])),
                p_value=p_values.get(name),
            )
        )
    return sorted(results, key=lambda result: -result.mean)


def evaluations_to_reach(curves: np.ndarray | None, value: float) -> int | None:
    """Return the median number of evaluations after which curves, `seeds x evaluations`, reach a value.

    `None` without curves, or if fewer than half of them reach it.
    """
    if curves is None:
        return None
    first = [int(np.argmax(curve >= value)) + 1 if curve[-1] >= value else np.inf for curve in curves]
    middle = float(np.median(first))
    return int(np.ceil(middle)) if np.isfinite(middle) else None


def _p_values(finals: Mapping[str, np.ndarray]) -> dict[str, float]:
    ours = finals.get(OURS, np.empty(0))
    return {
        name: float(mannwhitneyu(ours, theirs, alternative="greater").pvalue)
        for name, theirs in finals.items()
        if not name.startswith(OURS) and min(len(ours), len(theirs)) >= FEWEST_SEEDS
    }


def holm(p_values: Mapping[str, float]) -> dict[str, float]:
    """Return p-values corrected for multiple tests by Holm's step-down procedure."""
    corrected: dict[str, float] = {}
    largest = 0.0
    for rank, (name, p_value) in enumerate(sorted(p_values.items(), key=lambda item: item[1])):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_value))
        corrected[name] = largest
    return corrected
