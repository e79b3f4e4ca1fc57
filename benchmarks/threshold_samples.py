"""Accuracy of thresholds tuned on few images, in four ways.

    python -m benchmarks.threshold_samples CONFIG NETWORK [NETWORK ...] --out FILE

`counts`: every output predicts alone, and thresholds are tuned by counts of correct predictions. `probabilities`: the
same by expected accuracy, from a logistic regression. `ensemble`: outputs predict together with the exits before them,
with weights fitted on the same images, and thresholds are tuned by the distribution of all outputs together. `saving`:
the same, but MACs have a price of accuracy (`--price`).

The pool is the test split of the configuration, none of whose images the networks were trained on: each repeat tunes
on some of its images and is evaluated on all others. The networks are files `network.safetensors` of `aebnas-bo
train`. Budgets are spaced evenly on a logarithmic scale, above the cost of the first exit.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from aebnas_bo.analysis.tables import write_csv
from aebnas_bo.config.loading import load_config
from aebnas_bo.config.schema import Config
from aebnas_bo.data.datasets import load_splits
from aebnas_bo.data.splits import Splits
from aebnas_bo.deploy.network_file import load_network
from aebnas_bo.early_exit.exit_ensemble import NO_ENSEMBLE, ExitEnsemble, fit_ensemble
from aebnas_bo.early_exit.exit_rule import ExitTable, evaluate_thresholds
from aebnas_bo.early_exit.expected_accuracy import tune_by_expected_accuracy
from aebnas_bo.early_exit.outputs_in_use import outputs_in_use
from aebnas_bo.early_exit.threshold_tuning import TuningGoal, tune_thresholds
from aebnas_bo.estimation.measuring import exit_table, output_logits
from aebnas_bo.estimation.settings import EstimationConfig
from aebnas_bo.execution.cpu import set_up_cpu
from aebnas_bo.space.macs import ExitCosts, exit_costs, millions

SHARES = (0.25, 0.5, 0.75, 1.0)  # of the range of log MACs from the first exit to the whole network
WAYS = ("counts", "probabilities", "ensemble", "saving")
COMPARED = tuple(pairwise(WAYS))  # the gain of the second over the first
HEADER = (
    "network",
    "images",
    "budget",
    *WAYS,
    *(f"{way}_macs" for way in WAYS),
    *(f"{figure}_{way}" for _, way in COMPARED for figure in ("gain_of", "gain_sem_of")),
)


@dataclass(frozen=True)
class Pool:
    """Outputs of a network on images that it was not trained on.

    Args:
        outputs: Logits of each of the `E` outputs, `B x K`.
        labels: Classes, `B`.
        costs: MACs of the network.
        config: Confidence measure and exit rule.
    """

    outputs: Sequence[Tensor]
    labels: Tensor
    costs: ExitCosts
    config: EstimationConfig

    def table(self, images: Tensor, ensemble: ExitEnsemble) -> ExitTable:
        """Return the exit table over some images."""
        outputs, macs = [one[images] for one in self.outputs], self.costs.cumulative
        return exit_table(outputs, self.labels[images], macs=macs, key="", config=self.config, ensemble=ensemble)


def main() -> None:
    """Compare, and print and write one row per network, number of images and budget."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("config", type=Path)
    parser.add_argument("networks", type=Path, nargs="+")
    parser.add_argument("--images", type=int, nargs="+", default=[200, 500, 2000])
    parser.add_argument("--repeats", type=int, default=12)
    parser.add_argument("--price", type=float, help="price of MACs; by default that of the configuration")
    parser.add_argument("--out", type=Path, default=Path("runs/threshold-samples.csv"))
    arguments = parser.parse_args()
    config, rows = load_config(arguments.config), []
    set_up_cpu(config.num_threads)
    price = config.final_training.macs_price if arguments.price is None else arguments.price
    splits = load_splits(config.data)
    for path in arguments.networks:
        pool = _measured(config, splits, path)
        for count in arguments.images:
            for row in compare(pool, count, repeats=arguments.repeats, price=price):
                rows.append((path.parent.name, count, *row))
                print("  ".join(one if isinstance(one, str) else f"{one:.4g}" for one in rows[-1]))  # noqa: T201
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    write_csv(arguments.out, HEADER, rows)


def compare(pool: Pool, count: int, *, repeats: int, price: float) -> list[tuple[float, ...]]:
    """Return one row per budget, without the columns `network` and `images` of `HEADER`.

    Args:
        pool: Outputs of a network.
        count: Number of images for tuning.
        repeats: Number of draws of these images.
        price: Price of MACs; see `TuningGoal`.
    """
    cheapest, whole = pool.costs.cumulative[0], pool.costs.cumulative[-1]
    rows = []
    for share in SHARES:
        goal = TuningGoal("max_macs", cheapest * (whole / cheapest) ** share)
        found = np.array([_judged(pool, goal, count=count, seed=seed, price=price) for seed in range(repeats)])
        figures: list[float] = []
        for one, other in COMPARED:
            gains = found[:, WAYS.index(other), 0] - found[:, WAYS.index(one), 0]
            figures += [gains.mean(), gains.std(ddof=1) / np.sqrt(repeats)]
        accuracies, macs = found.mean(axis=0).T
        rows.append((millions(goal.value), *accuracies, *macs, *figures))
    return rows


def _judged(pool: Pool, goal: TuningGoal, *, count: int, seed: int, price: float) -> list[list[float]]:
    """Return accuracy and average MACs in millions on all other images, for each of `WAYS`."""
    order = torch.randperm(len(pool.labels), generator=torch.Generator().manual_seed(seed))
    sample, others = order[:count], order[count:]
    fitted = fit_ensemble([one[sample] for one in pool.outputs], pool.labels[sample])
    ways = (
        (tune_thresholds, NO_ENSEMBLE, goal),
        (tune_by_expected_accuracy, NO_ENSEMBLE, goal),
        (tune_by_expected_accuracy, fitted, goal),
        (tune_by_expected_accuracy, fitted, replace(goal, price=price)),
    )
    costs, found = pool.costs, []
    for tune, ensemble, its_goal in ways:
        table = pool.table(sample, ensemble)
        thresholds = tune(table, backbone=costs.backbone, branches=costs.branches, goal=its_goal).thresholds
        rest = pool.table(others, ensemble)
        used = outputs_in_use(rest, thresholds, backbone=costs.backbone, branches=costs.branches)
        outcome = evaluate_thresholds(used.table, used.thresholds)
        found.append([outcome.accuracy, millions(outcome.average_macs)])
    return found


@torch.no_grad()
def _measured(config: Config, splits: Splits, path: Path) -> Pool:
    network, description = load_network(path)
    outputs = output_logits(network.eval(), splits.normalized_batches(splits.test.images, config.estimation.batch_size))
    costs = exit_costs(description.architecture, description.skeleton)
    return Pool(outputs, splits.test.labels, costs, config.estimation)


if __name__ == "__main__":
    main()
