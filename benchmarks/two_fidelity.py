"""Rules that choose a network of a search for every budget, at equal time: short lists, best estimate, plain network.

    python -m benchmarks.two_fidelity configs/worth/cifar10-mini.yaml --seeds 0 1 2 --out FOLDER

Every seed is one search in `FOLDER/seed-N`. From its trials each rule of `shortlist.choice` selects a network for every
budget of average MACs, with equally many short trainings of equal time: a network gets the epochs of the rung times the
seconds per image of an average network over its own. The winners are trained as by `aebnas-bo train`, without a
teacher. A network that both rules train is trained once. The rule `best estimate` trains no short list: the network
with the best estimate for each budget is trained for its share of the short list's time longer. The rule `plain` takes
the plain network that a run without a search would train, for the same time as the best estimate. Without the rule
`estimates`, no time of a short list is added; such a folder cannot get this rule later. `FOLDER/rows.csv` has a row per
seed, budget and rule; rows that are in the file, finished searches and finished trainings are not run again. Tables
show the difference between two rules over pairs of seed and budget, and over seeds, with standard errors: the budgets
of a seed share trainings.
"""

from __future__ import annotations

import argparse
import math
import statistics
import sys
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path

from rich.console import Console

from aebnas_bo.config.loading import load_config
from aebnas_bo.deploy.training_pipeline import Candidate, train_candidate
from aebnas_bo.early_exit.threshold_tuning import TuningGoal
from aebnas_bo.preparation.problem import Problem
from aebnas_bo.preparation.progress import RunProgress
from aebnas_bo.search.trial_store import TrialStore
from aebnas_bo.shortlist.budgets import budgets_of
from aebnas_bo.shortlist.contenders import Contender, eligible
from aebnas_bo.shortlist.rungs import RungResult
from aebnas_bo.shortlist.short_training import ShortListContext, short_training
from aebnas_bo.shortlist.shortlist_study import read_pool, run_shortlist
from aebnas_bo.shortlist.shortlist_table import goal_text
from aebnas_bo.storage.run_folder import RunFolder
from aebnas_bo.storage.sealed_json import read_sealed, write_sealed
from aebnas_bo.study.running import run_study
from aebnas_bo.study.training_speed import time_network
from benchmarks.records import appending_rows, output_file, read_rows

ALONE, ESTIMATES, SURROGATE, PLAIN = "best estimate", "estimates", "surrogate", "plain"
RULES = (ESTIMATES, SURROGATE, ALONE, PLAIN)
COMPARED = ((ESTIMATES, SURROGATE), (ALONE, ESTIMATES), (ALONE, SURROGATE), (PLAIN, ALONE))
LEAST_EPOCHS = 3
HEADER = [
    "seed", "goal", "rule", "key", "listed_by", "short_s", "short_accuracy", "validation_accuracy", "test_accuracy",
    "test_average_macs",
]  # fmt: skip

Row = Mapping[str, str]


class Speeds:
    """Seconds per training image of networks, timed once each and stored, so that resumed runs use the same epochs.

    Args:
        context: Run folder and problem.
        average: Networks whose mean is the speed of an average network.
    """

    def __init__(self, context: ShortListContext, average: Sequence[Contender]) -> None:
        self._problem, self._path = context.problem, context.folder.path / "speeds.json"
        self._known: dict[str, object] = read_sealed(self._path, "delete it") if self._path.exists() else {}
        self._average = statistics.mean(self.seconds(one) for one in average)

    def seconds(self, contender: Contender) -> float:
        """Return the seconds per training image of a network."""
        if contender.key not in self._known:
            seconds = time_network(self._problem, contender.architecture, self._problem.space.skeleton)
            self._known[contender.key] = seconds
            self._path.parent.mkdir(parents=True, exist_ok=True)
            write_sealed(self._path, self._known)
        return float(str(self._known[contender.key]))

    def epochs(self, contender: Contender, epochs: int) -> int:
        """Return the epochs of a network that take the time of a rung's epochs of an average one."""
        return max(round(epochs * self._average / self.seconds(contender)), LEAST_EPOCHS)


def main() -> None:
    """Run what is missing, then print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("config", type=Path)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--set", dest="settings", action="append", default=[], help="as for `aebnas-bo run`")
    parser.add_argument("--rules", choices=RULES, nargs="+", default=list(RULES))
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    rules = [rule for rule in RULES if rule in arguments.rules]
    rows = output_file(str(arguments.out / "rows.csv"))
    if reason := unequal_times(read_rows(rows), rules):
        parser.error(f"{rows}: {reason}")
    with RunProgress(Console(stderr=True), quiet=False) as progress:
        for seed in arguments.seeds:
            known = {(row["seed"], row["rule"]) for row in read_rows(rows)}
            if any((str(seed), rule) not in known for rule in rules):
                config = load_config(arguments.config, [*arguments.settings, f"seed={seed}"])
                problem, folder = Problem.load(config), RunFolder(arguments.out / f"seed-{seed}")
                run_study(problem, folder, progress, resume=True)
                for rule in (rule for rule in rules if (str(seed), rule) not in known):
                    context = ShortListContext(folder, problem)
                    if rule in {ALONE, PLAIN}:
                        found = list(without_shortlist(context, rule, short_seconds(read_rows(rows), seed), progress))
                    else:
                        found = list(winners(context, rule, progress))  # a rule's rows are written together
                    with appending_rows(rows, HEADER) as append:
                        for row in found:
                            append([seed, *row])
    for one, other in ((one, other) for one, other in COMPARED if {one, other} <= {*rules}):
        sys.stdout.write(f"{table(read_rows(rows), one, other)}\n")


def short_seconds(rows: Sequence[Row], seed: int) -> float:
    """Return the seconds of a seed's short list by estimates; 0 without one."""
    return next((float(row["short_s"]) for row in rows if (row["seed"], row["rule"]) == (str(seed), ESTIMATES)), 0.0)


def unequal_times(rows: Sequence[Row], rules: Sequence[str]) -> str:
    """Return why rules cannot be added to rows: networks there were trained without the time of a short list.

    Args:
        rows: The rows of the file.
        rules: The rules to run.
    """
    with_list = {row["seed"] for row in rows if row["rule"] == ESTIMATES}
    without = sorted({row["seed"] for row in rows if row["rule"] in {ALONE, PLAIN}} - with_list)
    if not without or not {ESTIMATES, SURROGATE} & {*rules}:
        return ""
    return (
        f"its networks of seed {', '.join(without)} got no time of a short list; choose another --out for {ESTIMATES}"
    )


def without_shortlist(
    context: ShortListContext, rule: str, short_s: float, progress: RunProgress
) -> Iterator[list[object]]:
    """Train a network for every budget without a short list, and yield its row without the seed.

    Args:
        context: Folder of a finished search, and its problem.
        rule: `ALONE` for the network with the best estimate, `PLAIN` for the plain network of the budget.
        short_s: Seconds of the short list, which are divided equally among the budgets.
        progress: Shows the epochs.

    Raises:
        AebnasError: As `train_candidate`.
    """
    config, goals = context.problem.config, _goals(context)
    pool, num_images = read_pool(context, goals), len(context.problem.splits.train)
    speeds = Speeds(context, pool.choose(config.shortlist.rungs[0][0]))
    for goal in goals:
        best = pool.best(goal)
        seconds = config.final_training.epochs * num_images * speeds.seconds(best) + short_s / len(goals)
        chosen = best if rule == ALONE else read_pool(context, [goal]).choose(1)[0]
        epochs = max(round(seconds / (num_images * speeds.seconds(chosen))), LEAST_EPOCHS)
        recipe = config.final_training.model_copy(update={"epochs": epochs})
        problem = context.problem.with_config(config.model_copy(update={"final_training": recipe}))
        candidate = Candidate(context.folder, problem, chosen.observations[goal], goal)
        trained = train_candidate(candidate, config.seed, is_again=False, progress=progress)
        yield [
            goal_text(goal), rule, chosen.key, chosen.origin, 0.0, "", round(trained.validation.accuracy, 3),
            round(trained.test.accuracy, 3), round(trained.test.average_macs, 5),
        ]  # fmt: skip


def winners(context: ShortListContext, rule: str, progress: RunProgress) -> Iterator[list[object]]:
    """Select a network for every budget, train it fully, and yield its row without the seed.

    Args:
        context: Folder of a finished search, and its problem.
        rule: Value of `shortlist.choice`.
        progress: Shows the epochs.

    Raises:
        AebnasError: As `run_shortlist` and `train_candidate`.
    """
    config = context.problem.config
    shortlist = config.shortlist.model_copy(update={"choice": rule})
    context = ShortListContext(
        context.folder, context.problem.with_config(config.model_copy(update={"shortlist": shortlist}))
    )
    goals = _goals(context)
    pool = read_pool(context, goals)
    speeds = Speeds(context, pool.choose(shortlist.rungs[0][0]))
    train = partial(short_training, context, progress=progress)
    found, rung_results = run_shortlist(context, pool, goals, train=train, progress=progress, epochs_of=speeds.epochs)
    num_images = len(context.problem.splits.train)
    by_key = {one.key: one for one in pool.ranked}
    trainings = {(one.rung, one.key): one.epochs for one in rung_results}
    short_s = sum(epochs * num_images * speeds.seconds(by_key[key]) for (_, key), epochs in trainings.items())
    for goal, winner in zip(goals, found, strict=True):
        candidate = Candidate(context.folder, context.problem, winner.observations[goal], goal)
        trained = train_candidate(candidate, config.seed, is_again=False, progress=progress)
        last = _last(rung_results, goal, winner.key)
        yield [
            goal_text(goal), rule, winner.key, winner.origin, round(short_s, 1), round(last.accuracy, 3),
            round(trained.validation.accuracy, 3), round(trained.test.accuracy, 3),
            round(trained.test.average_macs, 5),
        ]  # fmt: skip


def _goals(context: ShortListContext) -> list[TuningGoal]:
    with TrialStore.open_read_only(context.folder.study) as store:
        return budgets_of(context.problem, eligible(store.trials(), store.study.objectives))


def _last(rung_results: Sequence[RungResult], goal: TuningGoal, key: str) -> RungResult:
    return max((one for one in rung_results if one.goal == goal and one.key == key), key=lambda one: one.rung)


def table(rows: Sequence[Row], rule: str, other_rule: str) -> str:
    """Return the accuracies of two rules and their paired differences as a Markdown table.

    Args:
        rows: The rows of the file.
        rule: The first rule.
        other_rule: The second rule; a difference is positive if its value is larger.
    """
    rules = (rule, other_rule)
    lines = [
        f"| figure | {rule} | {other_rule} | difference | pairs | by seed | seeds |",
        "|---|---|---|---|---|---|---|",
    ]
    for figure in ("test_accuracy", "validation_accuracy", "short_accuracy", "short_s"):
        one, other = (
            {(row["seed"], row["goal"]): float(row[figure]) for row in rows if row["rule"] == name and row[figure]}
            for name in rules
        )
        pairs = [pair for pair in one if pair in other]
        if not pairs:
            continue
        differences = [other[pair] - one[pair] for pair in pairs]
        of_seeds = [
            statistics.mean(other[pair] - one[pair] for pair in pairs if pair[0] == seed)
            for seed in dict.fromkeys(seed for seed, _ in pairs)
        ]
        means = (f"{statistics.mean(values[pair] for pair in pairs):.2f}" for values in (one, other))
        figures = [mean_text(differences), str(len(pairs)), mean_text(of_seeds), str(len(of_seeds))]
        lines.append(f"| {' | '.join([figure.replace('_', ' '), *means, *figures])} |")
    of_first, of_second = (
        {(row["seed"], row["goal"]): row["key"] for row in rows if row["rule"] == name} for name in rules
    )
    shared = [pair for pair in of_first if pair in of_second]
    differing = sum(of_first[pair] != of_second[pair] for pair in shared)
    return "\n".join(lines) + f"\n\nThe rules chose different networks in {differing} of {len(shared)} pairs.\n"


def mean_text(values: Sequence[float]) -> str:
    """Return the mean of differences, with its standard error if there are several."""
    error = f" ± {statistics.stdev(values) / math.sqrt(len(values)):.2f}" if len(values) > 1 else ""
    return f"{statistics.mean(values):+.2f}{error}"


if __name__ == "__main__":
    main()
