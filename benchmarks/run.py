"""Run methods on a problem; every run is a file that the same command continues.

python -m benchmarks.run --problem digits/tiny --method qnehvi sobol --seeds 0-7 --budget 200 --out runs/benchmark
"""

from __future__ import annotations

import argparse
import logging
import sys
import time
import warnings
from pathlib import Path

import torch

from aebnas_bo.search.search_loop import evaluate_trial, propose_trials
from aebnas_bo.search.trial import as_proposed
from aebnas_bo.seeding import parse_seeds
from benchmarks.methods import Method, methods
from benchmarks.problem import Problem, load_problem
from benchmarks.records import Header, RunFile, run_path


def run(problem: Problem, name: str, method: Method, seed: int, budget: int, folder: Path) -> None:
    """Start or continue one run of a method up to its budget."""
    header = Header(problem.name, name, seed, problem.objectives)
    file = RunFile(run_path(folder, problem.name, name, seed), header)
    strategy = method.strategy(problem, seed)
    settings = method.settings if method.peer is None else method.settings.model_copy(update={"batch_size": 1})
    while len(file.trials) < budget:
        told = file.trials if method.tells_further else [as_proposed(trial) for trial in file.trials]
        for trial in propose_trials(strategy, told, settings)[: budget - len(file.trials)]:
            file.append([evaluate_trial(trial, problem.estimator, problem.objectives)])


def main() -> None:
    """Run the methods of the command line, seed by seed."""
    known = methods()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--problem", required=True)
    parser.add_argument("--method", required=True, nargs="+", choices=known)
    parser.add_argument("--seeds", required=True, type=parse_seeds)
    parser.add_argument("--budget", required=True, type=int)
    parser.add_argument("--out", type=Path, default=Path("runs/benchmark"))
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    logging.disable(logging.INFO)
    problem = load_problem(arguments.problem)
    for seed in arguments.seeds:
        for name in arguments.method:
            started = time.perf_counter()
            run(problem, name, known[name], seed, arguments.budget, arguments.out)
            sys.stdout.write(f"{problem.name} {name} seed {seed}: {time.perf_counter() - started:.0f} s\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main()
