"""Proposals after the initial design until a limit is met that few points of a space meet.

    python -m benchmarks.limits --problem table:docs/examples/digits_table.csv nats function/dtlz2 --table FILE \
        --seeds 0-9 --out runs/limits.csv

Each metric is limited in turn, at the value that a share of the space meets: of a table, of all its rows, otherwise of
Sobol points. A problem with constraints keeps them. A search ends when a trial meets all limits, or after
`MOST_PROPOSALS` proposals. The command appends a row per search, continues where it was interrupted, and prints the
share of seeds that met each limit.
"""

from __future__ import annotations

import argparse
import logging
import sys
import warnings
from collections.abc import Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np

from aebnas_bo.analysis.pareto import admissible
from aebnas_bo.estimation.tabular_estimator import TabularEstimator
from aebnas_bo.execution.cpu import set_up_cpu
from aebnas_bo.search.design import sobol_points
from aebnas_bo.search.objectives import optimized
from aebnas_bo.search.search_loop import evaluate_trial, propose_trials
from aebnas_bo.search.trial import Trial, observations
from aebnas_bo.seeding import parse_seeds
from benchmarks.methods import Method, methods
from benchmarks.problem import Problem, load_problem
from benchmarks.records import appending_rows, output_file, read_rows
from benchmarks.run import expand

SHARE = 0.01  # of the space that meets a limit
MOST_PROPOSALS = 10
NUM_POINTS = 4096  # that stand for a space that is no table
HEADER = ("problem", "method", "metric", "limit", "seed", "proposals")
NOT_MET = "not met"


def main() -> None:
    """Run the searches that the command line names."""
    known = methods()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--problem", required=True, nargs="+")
    parser.add_argument("--method", default=["qnehvi"], nargs="+", choices=known)
    parser.add_argument("--metric", nargs="+", help="metrics to limit; by default every objective in turn")
    parser.add_argument("--seeds", required=True, type=parse_seeds)
    parser.add_argument("--table", type=Path, help="the table of NATS-Bench, a CSV file")
    parser.add_argument("--out", required=True, type=output_file)
    arguments = parser.parse_args()
    set_up_cpu(1)
    warnings.simplefilter("ignore")
    logging.disable(logging.INFO)
    done = {(row["problem"], row["method"], row["metric"], row["seed"]) for row in read_rows(arguments.out)}
    with appending_rows(arguments.out, HEADER) as append:
        for name in expand(arguments.problem):
            problem = load_problem(name, arguments.table)
            for limited in with_limits(problem):
                [metric] = [one for one in limited.objectives if one.limit is not None and not one.is_constraint]
                for seed in arguments.seeds if not arguments.metric or metric.name in arguments.metric else ():
                    for method in arguments.method:
                        if (problem.name, method, metric.name, str(seed)) in done:
                            continue
                        found = proposals_needed(limited, known[method], seed)
                        count = NOT_MET if found is None else found
                        append([problem.name, method, metric.name, f"{metric.limit:.6g}", seed, count])
    print_shares(read_rows(arguments.out))


def with_limits(problem: Problem) -> list[Problem]:
    """Return a problem once per objective, with a limit of this objective that `SHARE` of the space meets."""
    rows = _metrics(problem)
    limited = []
    for place, objective in enumerate(problem.objectives):
        if objective in optimized(problem.objectives):
            limit = strict_limit([objective.sign * row[objective.name] for row in rows])
            objectives = [*problem.objectives]
            objectives[place] = replace(objective, limit=objective.sign * limit)
            limited.append(replace(problem, objectives=tuple(objectives)))
    return limited


def strict_limit(values: Sequence[float]) -> float:
    """Return the smallest value that at most `SHARE` of the values reach, or the largest one if it is too frequent."""
    found = np.sort(np.array(values))[::-1]
    met = found[found >= found[max(1, int(SHARE * len(found))) - 1]]
    if len(met) > SHARE * len(found) and met.max() > met.min():
        met = met[met > met.min()]
    return float(met.min())


def _metrics(problem: Problem) -> list[dict[str, float]]:
    if isinstance(problem.estimator, TabularEstimator):
        return [dict(row) for row in problem.estimator.rows.values()]
    points = islice(sobol_points(problem.space, seed=0), NUM_POINTS)
    estimates = [problem.estimator.estimate(point) for point in points]
    return [{name: one.mean for name, one in estimate.metrics.items()} for estimate in estimates]


def proposals_needed(problem: Problem, method: Method, seed: int) -> int | None:
    """Return the number of proposals after the design until a trial meets all limits.

    Args:
        problem: The problem, with limits.
        method: The method.
        seed: Its seed.

    Returns:
        The number, 0 if the design meets them; `None` if no trial did in `MOST_PROPOSALS` proposals.
    """
    strategy, settings = method.strategy(problem, seed), method.settings.for_space(problem.space)
    trials: list[Trial] = []
    while len(trials) < settings.design_trials + MOST_PROPOSALS:
        for trial in propose_trials(strategy, trials, settings):
            trials.append(evaluate_trial(trial, problem.estimator, problem.objectives))
            if admissible(observations(trials[-1:]), problem.objectives):
                return max(0, len(trials) - settings.design_trials)
    return None


def print_shares(rows: Sequence[dict[str, str]]) -> None:
    """Print the number of seeds that met each limit, and the proposals that they needed."""
    groups: dict[tuple[str, ...], list[str]] = {}
    for row in rows:
        groups.setdefault(tuple(row[name] for name in HEADER[:4]), []).append(row["proposals"])
    sys.stdout.write("| problem | method | limit | met | proposals after the design |\n|---|---|---|---|---|\n")
    for (problem, method, metric, limit), found in groups.items():
        met = sorted(int(one) for one in found if one != NOT_MET)
        sys.stdout.write(
            f"| {problem} | {method} | {metric} {limit} | {len(met)} of {len(found)} | {', '.join(map(str, met))} |\n"
        )


if __name__ == "__main__":
    main()
