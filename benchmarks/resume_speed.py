"""Processor time to resume a search of many trials, and of the suggestions after it, on a published test function.

    python -m benchmarks.resume_speed function/dtlz2 --trials 100 300 1000 --out FILE

The trials are random points. "One by one" passes the same results to an Ax client by `attach_trial` and
`complete_trial`, as a loop written by hand does, without a suggestion. One thread.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable, Sequence

from aebnas_bo.analysis.tables import write_csv
from aebnas_bo.errors import AebnasError
from aebnas_bo.execution.cpu import set_up_cpu
from aebnas_bo.search.ax_strategy import ax_client
from aebnas_bo.search.search_loop import evaluate_trial, propose_trials
from aebnas_bo.search.trial import Observation, Trial
from aebnas_bo.storage.count_text import counted
from benchmarks.methods import methods
from benchmarks.problem import Problem, load_problem
from benchmarks.records import output_file

SUGGESTIONS = 5
COLUMNS = ("problem", "trials", "first_suggestion_s", "further_suggestion_s", "one_by_one_s")


def main() -> None:
    """Measure each number of trials and write a CSV file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("problem", help="such as function/dtlz2")
    parser.add_argument("--trials", type=int, nargs="+", default=[100, 300, 1000])
    parser.add_argument("--out", type=output_file, required=True)
    arguments = parser.parse_args()
    if min(arguments.trials) < 1:
        parser.error(f"--trials: expected whole numbers of at least 1; got {min(arguments.trials)}")
    set_up_cpu(1)
    problem = load_problem(arguments.problem)
    trials = random_trials(problem, max(arguments.trials))
    rows = [measured(problem, trials[:count]) for count in sorted(set(arguments.trials))]
    write_csv(arguments.out, COLUMNS, rows)


def random_trials(problem: Problem, count: int) -> list[Trial]:
    """Return evaluated random points."""
    method, trials = methods()["random"], list[Trial]()
    strategy, settings = method.strategy(problem, 0), method.settings.for_space(problem.space)
    while len(trials) < count:
        proposed = propose_trials(strategy, trials, settings)
        trials += [evaluate_trial(trial, problem.estimator, problem.objectives) for trial in proposed]
    return trials[:count]


def measured(problem: Problem, trials: Sequence[Trial]) -> tuple[str, int, str, str, str]:
    """Return a row of the output.

    Args:
        problem: The problem.
        trials: Evaluated points.
    """
    method, known = methods()["qnehvi"], list(trials)
    strategy, settings = method.strategy(problem, 0), method.settings.for_space(problem.space)

    def suggest() -> None:
        [trial] = propose_trials(strategy, known, settings)
        known.append(evaluate_trial(trial, problem.estimator, problem.objectives))

    first_s = _processor_seconds(suggest)
    further_s = statistics.median(_processor_seconds(suggest) for _ in range(SUGGESTIONS))
    client = ax_client(problem.space, problem.objectives, settings, seed=0)

    def complete_one_by_one() -> None:
        for trial in trials:
            observed = Observation(trial)
            raw_data = {o.name: (observed.metrics[o.name], observed.sems[o.name]) for o in problem.objectives}
            client.complete_trial(client.attach_trial(dict(trial.parameters)), raw_data=raw_data)

    one_by_one_s = _processor_seconds(complete_one_by_one)
    seconds = tuple(f"{value:.2f}" for value in (first_s, further_s, one_by_one_s))
    sys.stdout.write(
        f"{counted(len(trials), 'trial')}: first suggestion {seconds[0]} s, further ones {seconds[1]} s (median of "
        f"{SUGGESTIONS}); one by one {seconds[2]} s\n"
    )
    return problem.name, len(trials), *seconds


def _processor_seconds(run: Callable[[], None]) -> float:
    started = time.process_time()
    run()
    return time.process_time() - started


if __name__ == "__main__":
    try:
        main()
    except AebnasError as error:
        sys.exit(str(error))
