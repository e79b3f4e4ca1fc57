"""Hypervolume curves of finished runs, verified with a second implementation."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from pymoo.indicators.hv import HV

from aebnas_bo.analysis.hypervolume import hypervolume_curve
from aebnas_bo.analysis.pareto import admissible
from aebnas_bo.search.objectives import Objective, reference_to_maximize, to_maximize
from aebnas_bo.search.trial import Observation, Trial, observations
from benchmarks.records import Header, read_run

FIRST_DEV_SEED = 100
DESIGN = 24  # evaluations that include every initial design


@dataclass(frozen=True)
class Run:
    """One run.

    Args:
        problem: Name of the problem.
        method: Name of the method.
        seed: Seed of the method.
        trials: Hypervolume after each evaluation, of the proposed operating points.
        settings: Hypervolume after each evaluation, including further operating points of each network.
        generation_s: Seconds of each proposal.
    """

    problem: str
    method: str
    seed: int
    trials: tuple[float, ...]
    settings: tuple[float, ...]
    generation_s: tuple[float, ...]


def load_runs(folder: Path, is_dev: bool = False) -> tuple[list[Run], dict[str, float]]:
    """Read the runs of a folder.

    Args:
        folder: The folder.
        is_dev: Whether to read the runs on which constants are chosen, whose seeds begin at 100, or the others.

    Returns:
        The runs, and the best hypervolume known of each problem: that of its exact front or the one published, and
        otherwise that of everything observed in these runs.

    Raises:
        ValueError: If a file is damaged or hypervolumes disagree.
    """
    runs: list[Run] = []
    observed: dict[str, tuple[Header, list[Trial]]] = {}
    for path in sorted(folder.rglob("*.jsonl")):
        header, trials = read_run(path)
        if (header.seed >= FIRST_DEV_SEED) != is_dev:
            continue
        plain, whole = (
            tuple(value for _, value in hypervolume_curve(trials, header.objectives, has_settings))
            for has_settings in (False, True)
        )
        if trials:
            check_hypervolume(whole[-1], observations(trials), header.objectives)
        generation_s = tuple(trial.generation_s for trial in trials)
        runs.append(Run(header.problem, header.method, header.seed, plain, whole, generation_s))
        observed.setdefault(header.problem, (header, []))[1].extend(trials)
    best = {
        problem: header.best_hypervolume or hypervolume_curve(trials, header.objectives, has_settings=True)[-1][1]
        for problem, (header, trials) in observed.items()
    }
    return runs, best


def check_hypervolume(value: float, observed: Sequence[Observation], objectives: Sequence[Objective]) -> None:
    """Check a hypervolume computed by BoTorch with pymoo.

    Raises:
        ValueError: If they differ by more than rounding.
    """
    points = -to_maximize([one.metrics for one in admissible(observed, objectives)], objectives)
    reference = -reference_to_maximize(objectives)
    theirs = float(HV(ref_point=reference)(points)) if len(points) else 0.0
    if not np.isclose(value, theirs, rtol=1e-9, atol=1e-12):
        raise ValueError(f"hypervolume is {value} by BoTorch and {theirs} by pymoo")


def median_seconds(run: Run) -> float:
    """Return the median seconds per proposal after the first `DESIGN` evaluations."""
    return statistics.median(run.generation_s[DESIGN:] or (0.0,))
