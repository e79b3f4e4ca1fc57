"""Short lists chosen by estimates alone or by the two-fidelity surrogate, simulated on NATS-Bench's topology space.

    python -m benchmarks.two_fidelity_table --table FILE --seeds 0 1 2 --out FILE

A study has the `NETWORKS` cells nearest to the front of accuracy and MACs among `DRAWN` random ones. Its estimates are
the accuracies on another data set, plus an effect of every operation on every edge that is wrong in the same way for
all cells (`bias`), plus independent noise. Trainings give the accuracy in the table. Both rules train equally many
networks for `BUDGETS` budgets of MACs; the best trained one of each budget is the result. Rows that are in the file are
not run again. The table shows the mean difference between the rules over seeds with its standard error, in points of
the accuracy in the table, averaged over budgets.
"""

from __future__ import annotations

import argparse
import math
import statistics
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import numpy as np
import torch
from scipy import stats
from torch import Tensor

from aebnas_bo.estimation.tabular_estimator import TabularEstimator
from aebnas_bo.execution.cpu import set_up_cpu
from aebnas_bo.search.parameter_columns import column_layout
from benchmarks.nats_bench import IMAGE_SETS, load_table
from benchmarks.records import appending_rows, output_file, read_rows
from surrogates.next_training import Contest, choose_trainings
from surrogates.two_fidelity import Accuracies

DRAWN, NETWORKS, BUDGETS = 300, 100, (0.25, 0.5, 1.0)  # budgets as quantiles of the MACs of a study
VARIANCE = 0.05  # of every accuracy, in points
IDENTITY = ["estimates", "trainings", "noise", "bias", "rule", "count", "seed"]
FIGURES = ["tau", "accuracy", "best"]


@dataclass(frozen=True)
class Study:
    """Simulated study.

    Args:
        X: Encoded cells, `N x 6`.
        estimates: Their estimates in percent, `N`.
        accuracies: Their accuracies after a training in percent, `N`.
        macs: Their MACs in millions, `N`.
    """

    X: Tensor
    estimates: Tensor
    accuracies: Tensor
    macs: Tensor

    @property
    def budgets(self) -> list[list[int]]:
        """Cells within each budget."""
        return [
            [cell for cell, macs in enumerate(self.macs.tolist()) if macs <= limit]
            for limit in self.macs.quantile(torch.tensor(BUDGETS, dtype=torch.float64)).tolist()
        ]

    def result(self, trained: Sequence[int]) -> float:
        """Return the accuracy of the best trained network of each budget, averaged over budgets."""
        best = [max(self.accuracies[cell] for cell in budget if cell in trained) for budget in self.budgets]
        return float(statistics.mean(map(float, best)))


def make_study(
    estimates: TabularEstimator, trainings: TabularEstimator, *, noise: float, bias: float, seed: int
) -> Study:
    """Draw a study; see the module docstring.

    Args:
        estimates: Table with the accuracies that estimates are made of.
        trainings: Table with the accuracies after a training.
        noise: Standard deviation of the noise of estimates in points.
        bias: Standard deviation of the effect of an operation on an edge in points.
        seed: Random seed.
    """
    generator = np.random.default_rng(seed)
    cells = list(trainings.rows)
    drawn = [cells[place] for place in generator.choice(len(cells), DRAWN, replace=False)]
    space = trainings.search_space
    X = torch.from_numpy(np.stack([space.encode(dict(zip(space.names, cell, strict=True))) for cell in drawn]))
    effects = torch.from_numpy(generator.normal(0.0, bias, size=(X.shape[1], 5)))
    of_cells = torch.stack([effects[edge, X[:, edge].long()] for edge in range(X.shape[1])]).sum(dim=0)
    known = torch.tensor([estimates.rows[cell]["accuracy"] for cell in drawn], dtype=torch.float64)
    guessed = (known + of_cells + torch.from_numpy(generator.normal(0.0, noise, size=DRAWN))).clamp(1.0, 99.0)
    truth, macs = (
        torch.tensor([trainings.rows[cell][name] for cell in drawn], dtype=torch.float64)
        for name in ("accuracy", "average_macs")
    )
    kept = nearest_to_front(guessed, macs, NETWORKS)
    return Study(X[kept], guessed[kept], truth[kept], macs[kept])


def nearest_to_front(accuracies: Tensor, macs: Tensor, count: int) -> list[int]:
    """Return positions front by front: non-dominated ones first, then those non-dominated without them ..."""
    left, kept = list(range(len(macs))), []
    while left and len(kept) < count:
        front, best = [], -math.inf
        for place in sorted(left, key=lambda one: (float(macs[one]), -float(accuracies[one]))):
            if accuracies[place] > best:
                front.append(place)
                best = float(accuracies[place])
        kept += front
        left = [place for place in left if place not in front]
    return kept[:count]


def by_estimates(study: Study, count: int) -> list[int]:
    """Return networks by estimate: the budgets take turns."""
    chosen: list[int] = []
    ranked = [sorted(budget, key=lambda cell: -float(study.estimates[cell])) for budget in study.budgets]
    for place, ranking in product(range(NETWORKS), ranked):
        if place < len(ranking) and ranking[place] not in chosen and len(chosen) < count:
            chosen.append(ranking[place])
    return chosen


def by_surrogate(study: Study, table: TabularEstimator, *, count: int, begun: int) -> list[int]:
    """Return networks of which the first ones are chosen by estimate, all others one by one by the surrogate.

    Args:
        study: The study.
        table: Its table, whose space has the columns.
        count: Number of networks.
        begun: Number of those chosen by estimate.
    """
    chosen, layout = by_estimates(study, begun), column_layout(table.search_space)
    contests = [Contest(study.X[budget], tuple(budget)) for budget in study.budgets]
    while len(chosen) < count:
        mean = torch.cat([study.estimates, study.accuracies[chosen]])
        observed = Accuracies(
            torch.cat([study.X, study.X[chosen]]),
            torch.arange(len(mean)) >= NETWORKS,
            mean,
            torch.full_like(mean, VARIANCE),
        )
        chosen += choose_trainings(observed, layout, contests, taken=chosen).networks
    return chosen


RULES = ("estimates", "surrogate from half", "surrogate from best")


def trained_by(rule: str, study: Study, table: TabularEstimator, count: int) -> list[int]:
    """Return the networks that a rule trains.

    `surrogate from half` begins with half of the list by estimate, `surrogate from best` with the best one of each
    budget.

    Args:
        rule: One of `RULES`.
        study: The study.
        table: Its table.
        count: Number of networks.
    """
    if rule == "estimates":
        return by_estimates(study, count)
    begun = len(best_estimates(study)) if rule == "surrogate from best" else count // 2
    return by_surrogate(study, table, count=count, begun=begun)


def best_estimates(study: Study) -> set[int]:
    """Return the best network by estimate of each budget."""
    return {max(budget, key=lambda cell: float(study.estimates[cell])) for budget in study.budgets}


def main() -> None:
    """Run the missing simulations, then print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--table", type=Path, required=True, help="NATS-Bench's table, see benchmarks/nats_bench.py")
    parser.add_argument("--estimates", choices=IMAGE_SETS, default="cifar100")
    parser.add_argument("--trainings", choices=IMAGE_SETS, default="imagenet16-120")
    parser.add_argument("--noise", type=float, nargs="+", default=[1.0, 3.0])
    parser.add_argument("--bias", type=float, nargs="+", default=[0.0, 2.0])
    parser.add_argument("--counts", type=int, nargs="+", default=[8, 12])
    parser.add_argument("--rules", choices=RULES, nargs="+", default=RULES[:2])
    parser.add_argument("--seeds", type=int, nargs="+", default=list(range(20)))
    parser.add_argument("--out", type=output_file, required=True)
    arguments = parser.parse_args()
    set_up_cpu(1)
    tables = [load_table(arguments.table, IMAGE_SETS[name]) for name in (arguments.estimates, arguments.trainings)]
    known = {tuple(row[name] for name in IDENTITY) for row in read_rows(arguments.out)}
    settings = list(product(arguments.seeds, arguments.noise, arguments.bias))  # seeds first: all settings advance
    with appending_rows(arguments.out, [*IDENTITY, *FIGURES]) as append:
        for seed, noise, bias in settings:
            study = make_study(*tables, noise=noise, bias=bias, seed=seed)
            tau = float(stats.kendalltau(study.estimates, study.accuracies).statistic)
            best = study.result(range(NETWORKS))
            for count, rule in product(arguments.counts, arguments.rules):
                identity = (
                    arguments.estimates,
                    arguments.trainings,
                    f"{noise:g}",
                    f"{bias:g}",
                    rule,
                    str(count),
                    str(seed),
                )
                if identity not in known:
                    accuracy = study.result(trained_by(rule, study, tables[1], count))
                    append([*identity, *(f"{value:.6g}" for value in (tau, accuracy, best))])
    sys.stdout.write(table(read_rows(arguments.out)))


def table(rows: Sequence[dict[str, str]]) -> str:
    """Return the paired differences between each rule and the estimates as a Markdown table."""
    names = ["estimates", "trainings", "noise", "bias", "count"]
    header = [*names, "rule", "seeds", "tau", "below the best", "difference", "better", "worse"]
    lines = [f"| {' | '.join(header)} |", "|---" * len(header) + "|"]
    groups = dict.fromkeys((*(row[name] for name in names), row["rule"]) for row in rows)
    for group in groups:
        its = {r["seed"]: r for r in rows if (*(r[name] for name in names), r["rule"]) == group}
        base = {r["seed"]: r for r in rows if (*(r[name] for name in names), r["rule"]) == (*group[:-1], "estimates")}
        paired = [float(its[seed]["accuracy"]) - float(base[seed]["accuracy"]) for seed in its if seed in base]
        behind = statistics.mean(float(row["best"]) - float(row["accuracy"]) for row in its.values())
        tau = statistics.mean(float(row["tau"]) for row in its.values())
        error = statistics.stdev(paired) / math.sqrt(len(paired)) if len(paired) > 1 else math.nan
        difference = f"{statistics.mean(paired):+.2f} ± {error:.2f}" if group[-1] != "estimates" else "–"
        better, worse = (sum(sign * one > 0.0 for one in paired) for sign in (1, -1))
        figures = [str(len(its)), f"{tau:.2f}", f"{behind:.2f}", difference, str(better), str(worse)]
        lines.append(f"| {' | '.join([*group, *figures])} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
