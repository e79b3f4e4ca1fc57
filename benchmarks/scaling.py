"""Searches on simulated workers: wall time, and hypervolume lost because trials are proposed while others run.

    python -m benchmarks.scaling --problem function/dtlz2 --workers 1 4 16 64 --seconds 1 10 60 --seeds 0-2 \
        --out runs/scaling.csv

Evaluations take virtual time: on average as many seconds as given, each between a half and one and a half times as
many. Proposals take their real time: the clock advances by the processor time of each, so other processes on the
machine change little. Every run is one row of the output; the same command runs what is missing, and prints a table.
"""

from __future__ import annotations

import argparse
import csv
import itertools
import logging
import statistics
import sys
import tempfile
import time
import warnings
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from aebnas_bo.analysis.hypervolume import hypervolume
from aebnas_bo.execution.cpu import set_up_cpu
from aebnas_bo.execution.executor import Ticket
from aebnas_bo.execution.simulated_executor import AttemptCourse, SimulatedExecutor
from aebnas_bo.search.search_loop import run_search
from aebnas_bo.search.settings import SearchConfig
from aebnas_bo.search.strategy import Proposal, Strategy
from aebnas_bo.search.strategy_registry import make_strategy
from aebnas_bo.search.study_record import StudyRecord
from aebnas_bo.search.trial import Trial
from aebnas_bo.search.trial_evaluation import Evaluation, evaluate_trial
from aebnas_bo.search.trial_store import TrialStore
from aebnas_bo.seeding import numpy_generator, parse_seeds
from benchmarks.problem import PROBLEMS, Problem, load_problem
from benchmarks.records import appending_rows, output_file, read_rows

LARGEST_BATCH = 64


@dataclass(frozen=True)
class Setup:
    """One run.

    Args:
        problem: Name of the problem.
        proposals: `batch` (of one trial per worker) or `asynchronous`.
        workers: Number of simulated workers.
        seconds: Average virtual seconds of an evaluation.
        budget: Number of trials.
        seed: Seed of the search and of the durations.
    """

    problem: str
    proposals: str
    workers: int
    seconds: float
    budget: int
    seed: int


@dataclass(frozen=True)
class Outcome:
    """Result of one run.

    Args:
        wall_s: Virtual seconds from the first to the last trial.
        busy: Share of this time that workers evaluated, in [0, 1].
        proposing_s: Processor seconds of all proposals.
        hypervolume: Hypervolume of all trials, as a share of the best one known if there is one.
    """

    wall_s: float
    busy: float
    proposing_s: float
    hypervolume: float


class TimedStrategy:
    """Strategy whose proposals take as much virtual time as they need processor time.

    Args:
        strategy: The strategy.
        executor: Executor whose clock advances.
    """

    def __init__(self, strategy: Strategy, executor: SimulatedExecutor[Trial, Trial]) -> None:
        self._strategy, self._executor = strategy, executor
        self.seconds = 0.0

    def propose(self, trials: Sequence[Trial], count: int) -> list[Proposal]:
        """Propose the next points."""
        started = time.process_time()
        proposals = self._strategy.propose(trials, count)
        spent = time.process_time() - started
        self._executor.advance(spent)
        self.seconds += spent
        return proposals


def simulate(problem: Problem, setup: Setup) -> Outcome:
    """Run a search on simulated workers.

    Args:
        problem: The problem.
        setup: Workers, durations and budget.
    """
    settings = SearchConfig(
        budget=setup.budget,
        batch_size=min(setup.workers, LARGEST_BATCH) if setup.proposals == "batch" else 1,
        proposals="asynchronous" if setup.proposals == "asynchronous" else "batch",
    ).for_space(problem.space)
    settings = settings.model_copy(update={"design_trials": settings.design_trials})  # counts as given

    def course(ticket: Ticket) -> AttemptCourse:
        share = numpy_generator(setup.seed, "duration", ticket.number).random()
        return AttemptCourse(setup.seconds * (0.5 + share))

    executor = SimulatedExecutor[Trial, Trial](
        lambda trial: evaluate_trial(trial, problem.estimator, problem.objectives), setup.workers, course
    )
    strategy = TimedStrategy(
        make_strategy(problem.space, problem.objectives, settings, seed=setup.seed, known_costs=problem.known_costs),
        executor,
    )
    with tempfile.TemporaryDirectory() as folder:
        record = StudyRecord("scaling", setup.seed, "-", "", problem.objectives)
        with TrialStore.create(Path(folder) / "study.db", record) as store:
            evaluation = Evaluation(problem.space, executor)
            trials = run_search(store, strategy, evaluation, settings=settings, on_trial=lambda _: None)
    found = hypervolume(trials, problem.objectives, has_settings=True) / (problem.best_hypervolume or 1.0)
    return Outcome(executor.now, executor.busy_s / (setup.workers * executor.now), strategy.seconds, found)


def table(rows: Sequence[dict[str, str]]) -> str:
    """Return medians over seeds as a Markdown table, with the hypervolume relative to one worker."""
    titles = (
        "problem", "proposals", "seconds", "workers", "wall time s", "workers busy", "proposing s", "hypervolume",
        "of one worker",
    )  # fmt: skip
    lines = [f"| {' | '.join(titles)} |", "|---" * len(titles) + "|"]
    names = ("problem", "proposals", "seconds", "workers")
    groups: dict[tuple[str, ...], list[dict[str, str]]] = {}
    for row in rows:
        groups.setdefault(tuple(row[name] for name in names), []).append(row)
    for key in sorted(groups, key=lambda key: (key[0], key[1], float(key[2]), int(key[3]))):
        group = groups[key]
        wall, busy, proposing, found = (
            statistics.median(float(row[field.name]) for row in group) for field in fields(Outcome)
        )
        alone = [
            float(row["hypervolume"])
            for row in rows
            if row["workers"] == "1" and row["problem"] == key[0] and row["seconds"] == key[2]
        ]
        share = f"{found / statistics.median(alone):.3f}" if alone else "-"
        lines.append(f"| {' | '.join(key)} | {wall:.0f} | {busy:.2f} | {proposing:.0f} | {found:.4f} | {share} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Run what the command line names, and print the table of all rows."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--problem", default="function/dtlz2", help=f"{', '.join(PROBLEMS)} or table:FILE")
    parser.add_argument("--table", type=Path, help="the table of NATS-Bench, a CSV file")
    parser.add_argument("--proposals", nargs="+", choices=("batch", "asynchronous"), default=["asynchronous"])
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 4, 16, 64])
    parser.add_argument("--seconds", type=float, nargs="+", default=[1.0, 10.0, 60.0])
    parser.add_argument("--seeds", type=parse_seeds, default=[0])
    parser.add_argument("--budget", type=int, default=200)
    parser.add_argument("--out", type=output_file, required=True)
    arguments = parser.parse_args()
    set_up_cpu(1)
    warnings.simplefilter("ignore")
    logging.disable(logging.INFO)
    problem = load_problem(arguments.problem, arguments.table)
    names = [field.name for field in fields(Setup)]
    done = {tuple(row[name] for name in names) for row in read_rows(arguments.out)}
    with appending_rows(arguments.out, [*names, *(field.name for field in fields(Outcome))]) as append:
        for seed, seconds, workers, proposals in itertools.product(
            arguments.seeds, arguments.seconds, arguments.workers, arguments.proposals
        ):
            setup = Setup(problem.name, proposals, workers, seconds, arguments.budget, seed)
            if tuple(map(str, asdict(setup).values())) not in done:
                append(
                    [*asdict(setup).values(), *(f"{value:.6g}" for value in asdict(simulate(problem, setup)).values())]
                )
    with arguments.out.open(newline="", encoding="utf-8") as file:
        sys.stdout.write(table([*csv.DictReader(file)]))


if __name__ == "__main__":
    main()
