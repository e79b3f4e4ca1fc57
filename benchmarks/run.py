"""Run methods on problems, and compare them. Every run is a file that the same command continues.

    python -m benchmarks.run --problem digits/tiny --method qnehvi sobol --seeds 0-7 --budget 200 --out runs/benchmark
    python -m benchmarks.run --problem nats --table FILE --method qnehvi optuna-tpe --seeds 0-9 --budget 200 \
        --out runs/benchmark --report runs/report

`nats` stands for all three tables of NATS-Bench, `function` for all test functions. Seeds from 100 on are for choosing
constants of the engine; a report leaves them out. The time of a proposal is processor time, so that other processes on
the machine change it little.
"""

from __future__ import annotations

import argparse
import itertools
import logging
import sys
import time
import warnings
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from aebnas_bo.errors import AebnasError
from aebnas_bo.execution.cpu import set_up_cpu
from aebnas_bo.search.search_loop import evaluate_trial, propose_trials
from aebnas_bo.search.trial import as_proposed
from aebnas_bo.seeding import parse_seeds
from benchmarks.compare import write_report
from benchmarks.methods import Method, methods
from benchmarks.problem import PROBLEMS, Problem, load_problem
from benchmarks.records import Header, RunFile, run_path

GROUPS = ("nats", "function")


def run(problem: Problem, name: str, method: Method, seed: int, budget: int, folder: Path) -> None:
    """Start or continue one run of a method up to its budget."""
    header = Header(problem.name, name, seed, problem.objectives, problem.best_hypervolume)
    file = RunFile(run_path(folder, problem.name, name, seed), header)
    strategy = method.strategy(problem, seed)
    settings = method.settings.for_space(problem.space)
    if method.peer is not None:
        settings = settings.model_copy(update={"batch_size": 1})
    while len(file.trials) < budget:
        told = file.trials if method.tells_further else [as_proposed(trial) for trial in file.trials]
        started = time.process_time()
        proposed = propose_trials(strategy, told, settings)
        seconds = (time.process_time() - started) / len(proposed)
        for trial in proposed[: budget - len(file.trials)]:
            timed = replace(trial, generation_s=seconds)
            file.append([evaluate_trial(timed, problem.estimator, problem.objectives)])


def expand(names: Sequence[str]) -> list[str]:
    """Return the names of problems, with groups replaced by their members."""
    return [
        member
        for name in names
        for member in ([one for one in PROBLEMS if one.startswith(f"{name}/")] if name in GROUPS else [name])
    ]


def main() -> None:
    """Run what the command line names, seed by seed, every problem and method before the next seed."""
    known = methods()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--problem", required=True, nargs="+")
    parser.add_argument("--method", required=True, nargs="+", choices=known)
    parser.add_argument("--seeds", required=True, type=parse_seeds)
    parser.add_argument("--budget", required=True, type=int)
    parser.add_argument("--out", type=Path, default=Path("runs/benchmark"))
    parser.add_argument("--table", type=Path, help="the table of NATS-Bench, a CSV file")
    parser.add_argument("--report", type=Path, help="folder for the comparison of all runs in --out")
    arguments = parser.parse_args()
    set_up_cpu(1)
    warnings.simplefilter("ignore")
    logging.disable(logging.INFO)
    try:
        problems = [load_problem(name, arguments.table) for name in expand(arguments.problem)]
    except AebnasError as error:
        parser.exit(error.exit_code, f"error: {error}\n")
    for seed, problem, name in itertools.product(arguments.seeds, problems, arguments.method):
        started = time.perf_counter()
        run(problem, name, known[name], seed, arguments.budget, arguments.out)
        sys.stdout.write(f"{problem.name} {name} seed {seed}: {time.perf_counter() - started:.0f} s\n")
        sys.stdout.flush()
    if arguments.report:
        write_report(arguments.out, arguments.report, arguments.report)


if __name__ == "__main__":
    main()
