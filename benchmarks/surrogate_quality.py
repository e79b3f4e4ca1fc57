"""Predictions of left-out networks of real searches by the surrogates, with and without known costs and bounds.

    python -m benchmarks.surrogate_quality runs/benchmark --out FILE

Uses the `qnehvi` runs of the image problems; every network is left out with all its operating points and predicted from
the others. Rows that are in the file are not computed again.
"""

from __future__ import annotations

import argparse
import itertools
import statistics
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch

from aebnas_bo.search.parameter_columns import column_layout, known_outcome
from aebnas_bo.search.trial import Trial, observations
from benchmarks.comparison import OURS
from benchmarks.problem import CONFIGURATIONS, Problem, load_problem
from benchmarks.records import appending_rows, output_file, read_rows, read_run
from surrogates.fitting import fit_surrogate
from surrogates.models import ArchitectureGP, by_outcome
from surrogates.validation import Quality, leave_out, quality

TOLD = (50, 100, 200)
VARIANTS = {"with what is known": True, "from nothing": False}
HEADER = ["problem", "seed", "trials", "metric", "surrogate", "r2", "kendall_tau", "coverage"]
FIGURES = ("r2", "kendall_tau", "coverage")


def main() -> None:
    """Write the missing rows, one per run, number of trials, metric and variant, and print medians."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", type=Path)
    parser.add_argument("--out", type=output_file, required=True)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    rows = read_rows(arguments.out)
    known = {(row["problem"], row["seed"], row["trials"], row["surrogate"]) for row in rows}
    problems: dict[str, Problem] = {}
    with appending_rows(arguments.out, HEADER) as append:
        for path in sorted(arguments.runs.glob(f"*/{OURS}/*.jsonl")):
            header, trials = read_run(path)
            if header.problem not in CONFIGURATIONS:  # a table has no known costs
                continue
            for told, variant in itertools.product((count for count in TOLD if count <= len(trials)), VARIANTS):
                key = (header.problem, str(header.seed), str(told), variant)
                if key in known:
                    continue
                problem = problems.setdefault(header.problem, load_problem(header.problem))
                for metric, found in qualities(problem, trials[:told], VARIANTS[variant]).items():
                    append([*key[:3], metric, variant, *(f"{getattr(found, name):.4f}" for name in FIGURES)])
    print_medians(read_rows(arguments.out))


def print_medians(rows: Sequence[Mapping[str, str]]) -> None:
    """Print medians over seeds, by problem, number of trials, metric and variant."""
    head = (*HEADER[:1], *HEADER[2:5], "seeds", *FIGURES)
    sys.stdout.write(f"| {' | '.join(head)} |\n|{'---|' * len(head)}\n")
    groups: dict[tuple[str, ...], list[Mapping[str, str]]] = {}
    for row in rows:
        groups.setdefault(tuple(row[name] for name in HEADER[:1] + HEADER[2:5]), []).append(row)
    for key, group in groups.items():
        r2, tau, coverage = (statistics.median(float(row[name]) for row in group) for name in FIGURES)
        sys.stdout.write(f"| {' | '.join(key)} | {len(group)} | {r2:.3f} | {tau:.3f} | {100 * coverage:.1f} % |\n")


def qualities(problem: Problem, trials: Sequence[Trial], has_knowledge: bool) -> dict[str, Quality]:
    """Return the leave-one-network-out quality of each metric."""
    observed = observations(trials)
    names = [objective.name for objective in problem.objectives]
    X = torch.tensor(np.stack([problem.space.encode(one.parameters) for one in observed]))
    Y = torch.tensor([[one.metrics[name] for name in names] for one in observed], dtype=torch.float64)
    sems = torch.tensor([[one.sems[name] for name in names] for one in observed], dtype=torch.float64)
    known_costs = problem.known_costs if has_knowledge else ()
    model = ArchitectureGP(
        X,
        Y,
        column_layout(problem.space),
        train_Yvar=sems.square(),
        known_costs=by_outcome(known_costs, names),
        outcomes=[known_outcome(one) for one in problem.objectives] if has_knowledge else None,
    )
    fit_surrogate(model)
    left_out = leave_out(model, [one.key for one in observed])
    found = {name: quality(Y, left_out, outcome) for outcome, name in enumerate(names)}
    return {name: one for name, one in found.items() if one is not None}


if __name__ == "__main__":
    main()
