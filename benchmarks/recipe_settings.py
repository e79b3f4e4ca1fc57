"""Effect of a setting of the final recipe on a data set, for one plain network with exits and without a search.

    python -m benchmarks.recipe_settings configs/worth/gtsrb.yaml --macs 0.4 --epochs 12 \
        --vary final_training.learning_rate=0.2 --vary final_training.learning_rate=0.8 --seeds 0 1 --out FILE

The network is the plain network of the space (`aebnas_bo.space.plain_points`) whose total MACs are nearest to `--macs`.
`--vary exits=1+2` gives it exits after these stages, counted from 1, instead of its own, `--vary exits=none` none;
settings may follow.

Each variant, starting with the settings of the configuration, trains the network from random weights on the training
split, without validation images. Accuracy is measured on the validation images, at the final classifier and at the best
thresholds for 0.8 times `--macs`; with an exit ensemble, the final classifier predicts together with the exits. A
teacher (`--vary final_training.teacher={}`: twice as large) is trained on the same images; its time is not counted.
Rows that are in the file are not run again. The table shows the mean paired difference to the settings of the
configuration over seeds, with its standard error.
"""

from __future__ import annotations

import argparse
import math
import re
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path

import torch
from rich.console import Console

from aebnas_bo.config.loading import load_config
from aebnas_bo.deploy.final_recipe import train_from_scratch
from aebnas_bo.deploy.plain_baseline import PlainContext, taught_by_network
from aebnas_bo.early_exit.exit_ensemble import NO_ENSEMBLE, fit_ensemble
from aebnas_bo.early_exit.exit_rule import ExitTable
from aebnas_bo.early_exit.expected_accuracy import tune_by_expected_accuracy
from aebnas_bo.early_exit.threshold_tuning import TuningGoal
from aebnas_bo.errors import UsageError
from aebnas_bo.estimation.measuring import MeasuringImages, exit_table, output_logits
from aebnas_bo.execution.cpu import set_up_cpu
from aebnas_bo.preparation.fingerprints import recipe_identity
from aebnas_bo.preparation.problem import Problem
from aebnas_bo.preparation.progress import RunProgress
from aebnas_bo.preparation.supernet_preparation import training_data
from aebnas_bo.space.architecture import Architecture, content_key
from aebnas_bo.space.macs import MACS_PER_MILLION, exit_costs, millions
from aebnas_bo.space.network_space import NetworkSpace
from aebnas_bo.space.plain_points import plain_points
from aebnas_bo.storage.run_folder import RunFolder
from aebnas_bo.storage.version import FINAL_VERSION
from aebnas_bo.supernet.subnet import Subnet
from aebnas_bo.training.training_loop import EpochReport, Recorder
from benchmarks.final_recipe import Row, difference_text, paired_difference
from benchmarks.records import appending_rows, output_file, read_rows

OWN = "own settings"
EXITS, NO_EXITS = "exits=", "none"
SHARE = 0.8  # average MACs for tuning thresholds, as a share of `--macs`
IDENTITY = ["data", "key", "epochs", "variant", "seed", "settings"]
FIGURES = ["final_accuracy", "accuracy", "average_macs", "seconds"]


@dataclass(frozen=True)
class Job:
    """One training, the MACs (not millions) that were asked for, and the columns that identify its row."""

    problem: Problem
    architecture: Architecture
    macs: float
    identity: tuple[str, ...]


def main() -> None:
    """Run the missing trainings, then print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("config", type=Path, help="YAML file with the settings of the images")
    parser.add_argument("--macs", type=float, required=True, help="total MACs of the network in millions")
    parser.add_argument("--epochs", type=int, required=True)
    parser.add_argument(
        "--vary",
        action="append",
        default=[],
        help="comma-separated settings of one variant: SECTION.KEY=VALUE, or exits=1+2 or none",
    )
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--out", type=output_file, required=True)
    arguments = parser.parse_args()
    wanted: set[tuple[str, ...]] = set()
    known = {_identity(row) for row in read_rows(arguments.out)}
    with (
        RunProgress(Console(stderr=True), quiet=False) as progress,
        appending_rows(arguments.out, [*IDENTITY, *FIGURES]) as append,
        tempfile.TemporaryDirectory() as teachers,
    ):
        for seed, variant in product(arguments.seeds, [OWN, *arguments.vary]):
            job = job_of(arguments.config, variant, seed=seed, macs=arguments.macs, epochs=arguments.epochs)
            wanted.add(job.identity)
            if job.identity not in known:
                append([*job.identity, *(f"{value:.6g}" for value in run_job(job, Path(teachers), progress))])
    sys.stdout.write(table([row for row in read_rows(arguments.out) if _identity(row) in wanted]))


def job_of(path: Path, variant: str, *, seed: int, macs: float, epochs: int) -> Job:
    """Return the training of a variant.

    Args:
        path: YAML file of the configuration.
        variant: `OWN`, or comma-separated settings.
        seed: Seed of splits, weights and batches.
        macs: MACs of the network in millions.
        epochs: Number of epochs.

    Raises:
        UsageError: If the space has no plain networks, or no exits after the stages of a variant.
        AebnasError: If a setting or the images are wrong.
    """
    settings = [] if variant == OWN else re.split(r",(?=[a-z_.]+=)", variant)  # a value may be a list with commas
    exits = [setting.removeprefix(EXITS) for setting in settings if setting.startswith(EXITS)]
    settings = [setting for setting in settings if not setting.startswith(EXITS)]
    fixed = [
        f"search.max_average_macs={macs}",
        f"final_training.epochs={epochs}",
        "final_training.train_on_validation=false",
        f"seed={seed}",
    ]
    config = load_config(path, [*fixed, *settings])
    problem = Problem.load(config)
    space = problem.space
    networks = [space.architecture(point) for point in plain_points(space)]
    if not networks:
        raise UsageError(f"{path}: its space has no plain networks; set space.preset: auto")

    def distance(one: Architecture) -> float:
        return abs(math.log(exit_costs(one, space.skeleton).cumulative[-1] / (macs * MACS_PER_MILLION)))

    largest = [one for one in networks if one.resolution == networks[0].resolution and one.active_exits]
    chosen = min(largest, key=distance)
    if exits:
        chosen = _with_exits(chosen, space, exits[-1])
    recipe = config.final_training
    own = content_key([FINAL_VERSION, recipe_identity(recipe, config), problem.splits.data_hash, recipe.exit_ensemble])
    return Job(
        problem, chosen, macs * MACS_PER_MILLION, (config.name, chosen.key, str(epochs), variant, str(seed), own)
    )


def _with_exits(network: Architecture, space: NetworkSpace, stages: str) -> Architecture:
    """Return a plain network with the branch of its first exit after each of some stages, such as `1+2`, or `none`."""
    if stages == NO_EXITS:
        return replace(network, exits=(None,) * len(network.exits))
    possible = {str(stage + 1): position for position, stage in enumerate(space.skeleton.exit_stages)}
    wanted = stages.split("+")
    if not set(wanted) <= possible.keys():
        raise UsageError(
            f"{EXITS}{stages}: expected stages out of {', '.join(possible)}, such as {EXITS}1, or {NO_EXITS}"
        )
    positions = {possible[stage] for stage in wanted}
    branch = network.exits[network.active_exits[0]]
    return replace(
        network, exits=tuple(branch if position in positions else None for position in range(len(network.exits)))
    )


def run_job(job: Job, teachers: Path, progress: RunProgress) -> list[float]:
    """Train a network and return its `FIGURES`: percent, percent, millions, seconds.

    Args:
        job: The training.
        teachers: Folder of the teachers, each of which is trained once.
        progress: Shows the epochs.

    Raises:
        TrainingDivergedError: If training fails for good.
    """
    set_up_cpu(job.problem.config.num_threads)
    problem, config, (*_, variant, _, _) = job.problem, job.problem.config, job.identity
    recipe, costs = config.final_training, exit_costs(job.architecture, problem.space.skeleton)

    def show(report: EpochReport) -> None:
        progress.update(report.epoch, f"loss {report.loss:.3f}  {report.images_per_s:.0f} images/s")

    data, macs = training_data(problem, recipe), millions(costs.cumulative[-1])
    context = PlainContext(RunFolder(teachers), problem)
    data = taught_by_network(context, data, macs=macs, seed=config.seed, progress=progress)
    progress.start(f"{variant}, seed {config.seed}: epochs", recipe.epochs)
    started = time.process_time()
    subnet = train_from_scratch(
        job.architecture, problem.space.skeleton, data, config=recipe, seed=config.seed, recorder=Recorder(show)
    )
    seconds = time.process_time() - started
    measured = measured_table(subnet, problem, macs=costs.cumulative)
    goal = TuningGoal("max_macs", SHARE * job.macs)
    tuned = tune_by_expected_accuracy(measured, backbone=costs.backbone, branches=costs.branches, goal=goal)
    final = 100.0 * float(measured.is_correct[-1].double().mean())
    return [final, tuned.accuracy, millions(tuned.average_macs), seconds]


@torch.no_grad()
def measured_table(subnet: Subnet, problem: Problem, *, macs: tuple[int, ...]) -> ExitTable:
    """Return the exit table over the validation images; weights of an exit ensemble are fitted on calibration images.

    Args:
        subnet: The trained network.
        problem: Images and settings.
        macs: MACs of leaving at each output.
    """
    images, config = MeasuringImages.of(problem.splits, problem.device), problem.config
    held_out, outputs = (
        output_logits(subnet, torch.split(some, config.estimation.batch_size))
        for some in (images.calibration_images, images.images)
    )
    has_ensemble = config.final_training.exit_ensemble
    return exit_table(
        outputs,
        images.labels,
        macs=macs,
        key=subnet.architecture.key,
        config=config.estimation,
        ensemble=fit_ensemble(held_out, images.calibration_labels) if has_ensemble else NO_ENSEMBLE,
    )


def table(rows: Sequence[Row]) -> str:
    """Return means per variant and paired differences to the settings of the configuration as a Markdown table.

    Args:
        rows: Rows, one per variant and seed.
    """
    lines = [
        f"| variant | seeds | {' | '.join(FIGURES).replace('_', ' ')} | final difference | difference |",
        "|---" * 8 + "|",
    ]
    for variant in dict.fromkeys(row["variant"] for row in rows):
        its = [row for row in rows if row["variant"] == variant]
        means = [f"{statistics.mean(float(row[figure]) for row in its):.4g}" for figure in FIGURES]
        differences = [
            "–" if variant == OWN else difference_text(paired_difference(rows, variant, OWN, name))
            for name in FIGURES[:2]
        ]
        lines.append(f"| {' | '.join([variant, str(len(its)), *means, *differences])} |")
    return "\n".join(lines) + "\n"


def _identity(row: Row) -> tuple[str, ...]:
    return tuple(row[name] for name in IDENTITY)


if __name__ == "__main__":
    main()
