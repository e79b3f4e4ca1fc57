"""Predictions by the surrogates of networks of real searches: those left out, and those proposed next.

    python -m benchmarks.surrogate_quality runs/benchmark --out FILE
    python -m benchmarks.surrogate_quality runs/benchmark --out FILE --table FILE

Uses the `qnehvi` runs. On the image problems every network is left out with all its operating points and predicted from
the others, with and without known costs and bounds. On all problems a surrogate of the first trials predicts the up to
40 trials that were proposed after them (`next trials`), which is what the search needs; leaving out flatters. Rows that
are in the file are not computed again.
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
from torch import Tensor

from aebnas_bo.execution.cpu import set_up_cpu
from aebnas_bo.search.parameter_columns import column_layout, known_outcome
from aebnas_bo.search.trial import Observation, Trial, as_proposed, observations
from benchmarks.comparison import OURS
from benchmarks.problem import CONFIGURATIONS, PROBLEMS, Problem, load_problem
from benchmarks.records import appending_rows, output_file, read_rows, read_run
from surrogates.fitting import fit_surrogate
from surrogates.models import ArchitectureGP, by_outcome
from surrogates.validation import COVERAGE_Z, LeftOut, Quality, leave_out, quality

TOLD = (50, 100, 200)
VARIANTS = {"with what is known": True, "from nothing": False}  # of networks left out
NEXT = "next trials"
MOST_NEXT, FEWEST_NEXT = 40, 10
HEADER = ["problem", "seed", "trials", "metric", "surrogate", "r2", "kendall_tau", "coverage"]
FIGURES = ("r2", "kendall_tau", "coverage")


def main() -> None:
    """Write the missing rows, one per run, number of trials, metric and variant, and print medians."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", type=Path)
    parser.add_argument("--out", type=output_file, required=True)
    parser.add_argument("--table", type=Path, help="the table of NATS-Bench, a CSV file")
    arguments = parser.parse_args()
    set_up_cpu(1)
    known = {(row["problem"], row["seed"], row["trials"], row["surrogate"]) for row in read_rows(arguments.out)}
    problems: dict[str, Problem] = {}
    with appending_rows(arguments.out, HEADER) as append:
        for path in sorted(arguments.runs.glob(f"*/{OURS}/*.jsonl")):
            header, trials = read_run(path)
            if header.problem not in PROBLEMS:
                continue
            variants = (*VARIANTS, NEXT) if header.problem in CONFIGURATIONS else (NEXT,)  # a table knows no costs
            for told, variant in itertools.product(TOLD, variants):
                key = (header.problem, str(header.seed), str(told), variant)
                if key in known or len(trials) < told + (FEWEST_NEXT if variant == NEXT else 0):
                    continue
                problem = problems.setdefault(header.problem, load_problem(header.problem, arguments.table))
                if variant == NEXT:
                    found = next_qualities(problem, trials[:told], trials[told : told + MOST_NEXT])
                else:
                    found = qualities(problem, trials[:told], VARIANTS[variant])
                for metric, one in found.items():
                    append([*key[:3], metric, variant, *(f"{getattr(one, name):.4f}" for name in FIGURES)])
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
    left_out = leave_out(_surrogate(problem, observed, has_knowledge), [one.key for one in observed])
    return _by_metric(problem, observed, left_out)


def next_qualities(problem: Problem, trials: Sequence[Trial], following: Sequence[Trial]) -> dict[str, Quality]:
    """Return the quality of each metric's predictions of trials that were proposed later, at their own thresholds.

    Args:
        problem: The problem.
        trials: Trials that the surrogate is fitted to.
        following: The trials that it predicts.
    """
    model = _surrogate(problem, observations(trials), has_knowledge=True)
    coming = observations([as_proposed(trial) for trial in following])
    with torch.no_grad():
        mean, variance, features = model.predict_standardized(_rows(problem, coming))
        noise = model.likelihood.noise.reshape(model.num_outputs, -1).mean(dim=-1)
    half, to_natural = COVERAGE_Z * (variance + noise).sqrt(), model.outcome_transform.to_natural
    return _by_metric(
        problem, coming, LeftOut(*(to_natural(values, features) for values in (mean, mean - half, mean + half)))
    )


def _surrogate(problem: Problem, observed: Sequence[Observation], has_knowledge: bool) -> ArchitectureGP:
    names = [objective.name for objective in problem.objectives]
    sems = torch.tensor([[one.sems[name] for name in names] for one in observed], dtype=torch.float64)
    model = ArchitectureGP(
        _rows(problem, observed),
        _values(problem, observed),
        column_layout(problem.space),
        train_Yvar=sems.square(),
        known_costs=by_outcome(problem.known_costs if has_knowledge else (), names),
        outcomes=[known_outcome(one) for one in problem.objectives] if has_knowledge else None,
    )
    fit_surrogate(model)
    return model


def _rows(problem: Problem, observed: Sequence[Observation]) -> Tensor:
    return torch.tensor(np.stack([problem.space.encode(one.parameters) for one in observed]))


def _values(problem: Problem, observed: Sequence[Observation]) -> Tensor:
    names = [objective.name for objective in problem.objectives]
    return torch.tensor([[one.metrics[name] for name in names] for one in observed], dtype=torch.float64)


def _by_metric(problem: Problem, observed: Sequence[Observation], predicted: LeftOut) -> dict[str, Quality]:
    Y = _values(problem, observed)
    found = {one.name: quality(Y, predicted, outcome) for outcome, one in enumerate(problem.objectives)}
    return {name: one for name, one in found.items() if one is not None}


if __name__ == "__main__":
    main()
