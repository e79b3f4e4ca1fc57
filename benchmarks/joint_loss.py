"""Effect of the terms of NACHOS's joint loss: none, the cost term, the peak term, both.

    python -m benchmarks.joint_loss configs/cifar10-mini.yaml --seeds 0 1 2 --out FILE

One network, from the middle of the space and with every exit, is trained separately with each variant and seed by
`final_training`. Thresholds are tuned on the validation images to the highest accuracy within a budget of MACs
(cumulative confidence); accuracy and average MACs are then measured on the test images. Rows that are in the file are
not run again.
"""

from __future__ import annotations

import argparse
import statistics
import sys
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from aebnas_bo.config.loading import dump_config, load_config
from aebnas_bo.config.schema import Config
from aebnas_bo.deploy.final_recipe import train_from_scratch
from aebnas_bo.early_exit.exit_rule import ExitTable, evaluate_thresholds
from aebnas_bo.early_exit.threshold_tuning import TuningGoal, tune_thresholds
from aebnas_bo.estimation.measuring import MeasuringImages, measure
from aebnas_bo.execution.cpu import set_up_cpu
from aebnas_bo.experiments.comparison.method_files import PACKAGE_METHODS
from aebnas_bo.preparation.problem import Problem
from aebnas_bo.preparation.supernet_preparation import training_data
from aebnas_bo.space.architecture import Architecture, content_key
from aebnas_bo.space.macs import ExitCosts, exit_costs, millions
from aebnas_bo.space.search_space import ChoiceParameter
from aebnas_bo.supernet.subnet import Subnet
from aebnas_bo.training.joint_loss import leaving_probabilities
from benchmarks.records import appending_rows, output_file, read_rows

BUDGET_SHARE = 0.25  # of the range from the cheapest exit to the whole network
METHOD = PACKAGE_METHODS / "nachos.yaml"
VARIANTS = {"none": (0.0, 0.0), "cost": (1.0, 0.0), "peak": (0.0, 1.0), "both": (1.0, 1.0)}
HEADER = ["variant", "seed", "settings", "budget", "expected_macs", "confidence_error", "test_accuracy",
          "test_average_macs", "final_exit_accuracy"]  # fmt: skip


@dataclass(frozen=True)
class Context:
    """Values shared by all variants: network, costs, images and budget in MACs."""

    problem: Problem
    architecture: Architecture
    costs: ExitCosts
    budget: float


def main() -> None:
    """Run the missing trainings, then print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("config", type=Path)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--set", dest="settings", action="append", default=[])
    parser.add_argument("--out", type=output_file, required=True)
    arguments = parser.parse_args()
    set_up_cpu(1)
    config = load_config(arguments.config, arguments.settings, METHOD)
    context, settings = _context(config), content_key(dump_config(config))
    rows = read_rows(arguments.out)
    known = {(row["variant"], row["seed"], row["settings"]) for row in rows}
    with appending_rows(arguments.out, HEADER) as append:
        for seed in arguments.seeds:
            for variant in VARIANTS:
                if (variant, str(seed), settings) not in known:
                    append([variant, seed, settings, *(f"{value:.6g}" for value in _run(context, variant, seed))])
    _print([row for row in read_rows(arguments.out) if row["settings"] == settings])


def _context(config: Config) -> Context:
    problem = Problem.load(config)
    space = problem.space
    point = {
        p.name: p.values[-1 if p.name.startswith("exit") else len(p.values) // 2]
        for p in space.search_space.parameters
        if isinstance(p, ChoiceParameter)
    }
    architecture = space.architecture(point)
    costs = exit_costs(architecture, space.skeleton)
    first, *_, last = costs.cumulative
    budget = first + BUDGET_SHARE * (last - first)
    return Context(problem, architecture, costs, budget)


def _run(context: Context, variant: str, seed: int) -> list[float]:
    """Train the network with one variant and return its results."""
    cost_weight, peak_weight = VARIANTS[variant]
    problem, config, splits = context.problem, context.problem.config, context.problem.splits
    joint = config.supernet.joint_loss
    assert joint is not None
    joint = joint.model_copy(
        update={"cost_weight": cost_weight, "peak_weight": peak_weight, "max_macs": millions(context.budget)}
    )
    recipe = config.final_training.model_copy(update={"joint_loss": joint})
    images = MeasuringImages.of(splits, "cpu")
    # No variant trains on the images of the support set, whether it uses the set or not.
    aside = recipe.model_copy(update={"joint_loss": joint.model_copy(update={"peak_weight": 1.0})})
    data = training_data(problem, aside)
    subnet = train_from_scratch(context.architecture, context.problem.space.skeleton, data, config=recipe, seed=seed)
    validation = _table(context, subnet, images)
    test_images = MeasuringImages.of(replace(splits, validation=splits.test), "cpu")
    test = _table(context, subnet, test_images)
    goal = TuningGoal("max_macs", context.budget)
    tuned = tune_thresholds(
        validation, backbone=context.costs.backbone, branches=context.costs.branches, goal=goal, may_switch_off=False
    )
    outcome = evaluate_thresholds(test, [threshold or 0.0 for threshold in tuned.thresholds])
    expected, error = _expected(test)
    return [
        millions(context.budget), millions(expected), error, outcome.accuracy,
        millions(outcome.average_macs), 100.0 * float(test.is_correct[-1].double().mean()),
    ]  # fmt: skip


def _table(context: Context, subnet: Subnet, images: MeasuringImages) -> ExitTable:
    costs = context.costs.cumulative
    return measure(subnet, images, macs=costs, key=context.architecture.key, config=context.problem.config.estimation)[
        0
    ]


def _expected(table: ExitTable) -> tuple[float, float]:
    """Return the MACs expected from confidences alone, and the mean squared error of confidences."""
    confidence: Tensor = table.confidence[:-1]
    leaving = leaving_probabilities(confidence).mean(dim=1)
    expected = float(leaving @ torch.tensor(table.macs, dtype=leaving.dtype))
    return expected, float((confidence - table.is_correct[:-1].to(confidence)).square().mean())


def _print(rows: list[dict[str, str]]) -> None:
    for variant in VARIANTS:
        its = [row for row in rows if row["variant"] == variant]
        if its:
            means = (f"{name} {statistics.mean(float(row[name]) for row in its):.4g}" for name in HEADER[3:])
            sys.stdout.write(f"{variant} ({len(its)} seeds): {', '.join(means)}\n")


if __name__ == "__main__":
    main()
