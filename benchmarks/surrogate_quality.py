"""How well the surrogates predict networks left out of real searches, with and without what is known beforehand.

    python -m benchmarks.surrogate_quality runs/benchmark --out benchmarks/results/search/surrogates.csv

Takes the `qnehvi` runs of every problem; every network is left out with all its settings and predicted from the others.
"""

from __future__ import annotations

import argparse
import csv
import statistics
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from aebnas_bo.search.columns import column_layout
from aebnas_bo.search.trial import Trial, completed_settings
from benchmarks.comparison import OURS
from benchmarks.problem import Problem, load_problem
from benchmarks.records import read_run
from surrogates.fitting import fit_surrogate
from surrogates.models import ArchitectureGP
from surrogates.validation import Quality, leave_out, quality

TOLD = (50, 100, 200)
VARIANTS = {"with what is known": True, "from nothing": False}


def main() -> None:
    """Write a row per run, number of trials, metric and variant, and print medians."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    rows: list[tuple[str, int, int, str, str, Quality]] = []
    problems: dict[str, Problem] = {}
    for path in sorted(arguments.runs.glob(f"*/{OURS}/*.jsonl")):
        header, trials = read_run(path)
        problem = problems.setdefault(header.problem, load_problem(header.problem))
        for told in (count for count in TOLD if count <= len(trials)):
            for variant, has_knowledge in VARIANTS.items():
                for metric, found in qualities(problem, trials[:told], has_knowledge).items():
                    rows.append((header.problem, header.seed, told, metric, variant, found))
    with arguments.out.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["problem", "seed", "trials", "metric", "surrogate", "r2", "kendall_tau", "coverage"])
        writer.writerows(
            [*row, f"{found.r2:.4f}", f"{found.kendall_tau:.4f}", f"{found.coverage:.4f}"] for *row, found in rows
        )
    for key in dict.fromkeys((row[0], row[2], row[3], row[4]) for row in rows):
        group = [row[5] for row in rows if (row[0], row[2], row[3], row[4]) == key]
        r2, tau, coverage = (
            statistics.median(getattr(found, name) for found in group) for name in ("r2", "kendall_tau", "coverage")
        )
        sys.stdout.write(
            "| " + " | ".join(map(str, key)) + f" | {len(group)} | {r2:.3f} | {tau:.3f} | {100 * coverage:.1f} % |\n"
        )


def qualities(problem: Problem, trials: Sequence[Trial], has_knowledge: bool) -> dict[str, Quality]:
    """Return the leave-one-network-out quality of each metric."""
    observed = completed_settings(trials)
    names = [objective.name for objective in problem.objectives]
    X = torch.tensor(np.stack([problem.space.encode(trial.parameters) for trial in observed]))
    Y = torch.tensor([[trial.metrics[name] for name in names] for trial in observed], dtype=torch.float64)
    sems = torch.tensor([[trial.sems[name] for name in names] for trial in observed], dtype=torch.float64)
    known_costs = problem.known_costs if has_knowledge else None
    model = ArchitectureGP(
        X,
        Y,
        column_layout(problem.space),
        sems.square(),
        known_costs,
        names.index(known_costs.outcome) if known_costs is not None else 0,
        [objective.bounds for objective in problem.objectives] if has_knowledge else None,
    )
    fit_surrogate(model)
    left_out = leave_out(model, [trial.key for trial in observed])
    found = {name: quality(Y, left_out, outcome) for outcome, name in enumerate(names)}
    return {name: one for name, one in found.items() if one is not None}


if __name__ == "__main__":
    main()
