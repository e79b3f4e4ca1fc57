"""Accuracy of thresholds tuned on few images: by counts of right predictions, and by expected accuracy.

    python -m benchmarks.threshold_samples CONFIG NETWORK [NETWORK ...] --set data.max_train_images=40000

The pool is the validation split of the configuration: each repeat tunes on some of its images and is evaluated on all
others. The networks are files `network.safetensors` of `aebnas-bo train`; few or none of the pool's images may be in
their training images. Budgets are spaced evenly on a logarithmic scale, above the cost of the first exit.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from aebnas_bo.analysis.tables import write_csv
from aebnas_bo.config.loading import load_config
from aebnas_bo.data.datasets import load_splits
from aebnas_bo.data.transforms import normalize
from aebnas_bo.deploy.network_file import load_network
from aebnas_bo.early_exit.chances import tune_by_chances
from aebnas_bo.early_exit.exit_rule import ExitTable, evaluate_thresholds
from aebnas_bo.early_exit.outputs_in_use import outputs_in_use
from aebnas_bo.early_exit.threshold_tuning import TunedThresholds, TuningGoal, tune_thresholds
from aebnas_bo.estimation.measuring import exit_table, output_logits
from aebnas_bo.space.macs import ExitCosts, exit_costs, millions

SHARES = (0.25, 0.5, 0.75, 1.0)  # of the range of log MACs from the first exit to the whole network
HEADER = ("network", "images", "budget", "counts", "chances", "gain", "gain_sem", "counts_macs", "chances_macs")
Tune = Callable[..., TunedThresholds]


def main() -> None:
    """Compare, and print and write one row per network, number of images and budget."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("config", type=Path)
    parser.add_argument("networks", type=Path, nargs="+")
    parser.add_argument("--set", dest="settings", action="append", default=[], metavar="SECTION.KEY=VALUE")
    parser.add_argument("--images", type=int, nargs="+", default=[200, 500, 2000])
    parser.add_argument("--repeats", type=int, default=12)
    parser.add_argument("--out", type=Path, default=Path("runs/threshold-samples.csv"))
    arguments = parser.parse_args()
    rows = []
    for path in arguments.networks:
        table, costs = _measured(arguments.config, arguments.settings, path)
        for count in arguments.images:
            for row in compare(table, costs, count, repeats=arguments.repeats):
                rows.append((path.parent.name, count, *row))
                print("  ".join(one if isinstance(one, str) else f"{one:.4g}" for one in rows[-1]))  # noqa: T201
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    write_csv(arguments.out, HEADER, rows)


def compare(table: ExitTable, costs: ExitCosts, count: int, *, repeats: int) -> list[tuple[float, ...]]:
    """Return one row per budget, without the columns `network` and `images` of `HEADER`.

    Args:
        table: Exit table of a network over the pool.
        costs: MACs of its exits.
        count: Number of images for tuning.
        repeats: Number of draws of these images.
    """
    cheapest, whole = costs.cumulative[0], costs.cumulative[-1]
    rows = []
    for share in SHARES:
        goal = TuningGoal("max_macs", cheapest * (whole / cheapest) ** share)
        found = np.array([_judged(table, costs, goal, count=count, seed=seed) for seed in range(repeats)])
        gains = found[:, 2] - found[:, 0]
        counts, counts_macs, chances, chances_macs = found.mean(axis=0)
        sem = gains.std(ddof=1) / np.sqrt(repeats)
        rows.append((millions(goal.value), counts, chances, gains.mean(), sem, counts_macs, chances_macs))
    return rows


def _judged(table: ExitTable, costs: ExitCosts, goal: TuningGoal, *, count: int, seed: int) -> list[float]:
    """Return accuracy and average MACs in millions on all other images, tuned by counts and by expected accuracy."""
    order = torch.randperm(table.confidence.shape[1], generator=torch.Generator().manual_seed(seed))
    sample, others = _part(table, order[:count]), _part(table, order[count:])
    found = []
    for tune in (tune_thresholds, tune_by_chances):
        thresholds = tune(sample, backbone=costs.backbone, branches=costs.branches, goal=goal).thresholds
        used = outputs_in_use(others, thresholds, backbone=costs.backbone, branches=costs.branches)
        outcome = evaluate_thresholds(used.table, used.thresholds)
        found += [outcome.accuracy, millions(outcome.average_macs)]
    return found


def _part(table: ExitTable, images: Tensor) -> ExitTable:
    return replace(table, confidence=table.confidence[:, images], is_correct=table.is_correct[:, images])


@torch.no_grad()
def _measured(path_of_config: Path, settings: Sequence[str], path: Path) -> tuple[ExitTable, ExitCosts]:
    chosen = load_config(path_of_config, settings)
    splits = load_splits(chosen.data)
    network, description = load_network(path)
    images = normalize(splits.validation.images, splits.mean, splits.std, device="cpu")
    outputs = output_logits(network.eval(), images, chosen.estimation.batch_size)
    costs = exit_costs(description.architecture, description.skeleton)
    labels, config = splits.validation.labels, chosen.estimation
    return exit_table(outputs, labels, macs=costs.cumulative, key=description.key, config=config), costs


if __name__ == "__main__":
    main()
