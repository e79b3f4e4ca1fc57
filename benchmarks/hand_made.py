"""Baseline: a hand-made network without exits, trained by the final recipe of a search.

    python -m benchmarks.hand_made RUN --seeds 0 1 2 --out FILE

RUN is the folder of a search, whose images and final recipe are used. The network has two inverted residuals per stage,
kernel 3, expansion 3, 8 channels in the stem and 12, 20, 32 and 48 in the stages, with strides 2, 2, 1 and 2: 2.43 M
MACs at 32x32. It is trained from random weights without a teacher, and also with the supernet's largest network as the
teacher if the recipe has one (`teacher: {source: supernet}`). Rows that are in the file are not run again, and an
interrupted training resumes. Test images are used once, after training. Use one file per recipe: means are over all
trainings of equal length. `--activation hardswish` gives the network the activation that searched networks can have.
"""

from __future__ import annotations

import argparse
import statistics
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

import torch
from rich.console import Console

from aebnas_bo.config.loading import parse_config
from aebnas_bo.data.splits import Splits
from aebnas_bo.deploy.final_recipe import fresh_subnet, train_network
from aebnas_bo.deploy.teacher import largest_teacher, with_soft_labels
from aebnas_bo.estimation.measuring import output_logits
from aebnas_bo.execution.cpu import set_up_cpu
from aebnas_bo.preparation.fingerprints import recipe_identity, supernet_fingerprint
from aebnas_bo.preparation.problem import Problem
from aebnas_bo.preparation.progress import RunProgress
from aebnas_bo.preparation.supernet_preparation import prepare_supernet, training_data
from aebnas_bo.search.trial_store import TrialStore
from aebnas_bo.seeding import child_seed
from aebnas_bo.space.architecture import Activation, Architecture, Block, Skeleton, Stage, content_key
from aebnas_bo.space.macs import exit_costs, millions
from aebnas_bo.storage.run_folder import RunFolder
from aebnas_bo.storage.version import ESTIMATION_VERSION, FINAL_VERSION
from aebnas_bo.training.training_loop import EpochReport, Recorder
from benchmarks.records import appending_rows, output_file, read_rows

WIDTHS, STRIDES = (12, 20, 32, 48), (2, 2, 1, 2)
IDENTITY = ["activation", "teacher", "seed", "settings"]
HEADER = [*IDENTITY, "epochs", "macs_millions", "validation_accuracy", "test_accuracy"]


@dataclass(frozen=True)
class Context:
    """Values shared by all trainings."""

    folder: RunFolder
    problem: Problem
    activation: Activation
    progress: RunProgress


def main() -> None:
    """Run the missing trainings, then print means."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--activation", choices=get_args(Activation), default="relu")
    parser.add_argument("--set", dest="settings", action="append", default=[], help="settings of final_training")
    parser.add_argument("--out", type=output_file, required=True)
    arguments = parser.parse_args()
    folder = RunFolder(arguments.run)
    with TrialStore.open_read_only(folder.study) as store:
        config = parse_config(store.study.config, str(folder.study), arguments.settings)
    set_up_cpu(config.num_threads)
    problem = Problem.load(config)
    rows = read_rows(arguments.out)
    with (
        RunProgress(Console(stderr=True), quiet=False) as progress,
        appending_rows(arguments.out, HEADER) as append,
    ):
        context = Context(folder, problem, arguments.activation, progress)
        known = {tuple(row[name] for name in IDENTITY) for row in rows}
        for seed in arguments.seeds:
            for has_teacher in (True, False) if config.final_training.teacher_source == "supernet" else (False,):
                teacher = "yes" if has_teacher else "no"
                identity = (arguments.activation, teacher, str(seed), _settings(context, seed, has_teacher))
                if identity not in known:
                    figures = _train(context, has_teacher, seed, arguments.out.parent)
                    append([*identity, config.final_training.epochs, *(f"{value:.6g}" for value in figures)])
    print_means(read_rows(arguments.out))


def hand_made(splits: Splits, activation: Activation) -> tuple[Architecture, Skeleton]:
    """Return the network for images of this size."""
    skeleton = Skeleton(
        in_channels=splits.in_channels,
        num_classes=splits.num_classes,
        stem_channels=8,
        stem_stride=1,
        stage_strides=STRIDES,
        exit_stages=(),
        branch_stride=1,
        head_channels=0,
        activation=activation,
        has_learned_confidence=False,
    )
    return Architecture(splits.image_size, tuple(Stage(width, (Block(3, 3),) * 2) for width in WIDTHS), ()), skeleton


def _settings(context: Context, seed: int, has_teacher: bool) -> str:
    recipe = recipe_identity(context.problem.config.final_training, context.problem.config, "start", "teacher")
    data_hash = context.problem.splits.data_hash
    study = [supernet_fingerprint(context.problem.config, data_hash), ESTIMATION_VERSION] if has_teacher else data_hash
    return content_key([FINAL_VERSION, study, seed, recipe])


def _train(context: Context, has_teacher: bool, seed: int, beside: Path) -> tuple[float, float, float]:
    """Return MACs in millions, validation and test accuracy in percent."""
    problem = context.problem
    config, splits, device = problem.config, problem.splits, problem.device
    architecture, skeleton = hand_made(splits, context.activation)
    name = f"hand-made network, {context.activation}{', with teacher' if has_teacher else ''}, seed {seed}"

    def show(report: EpochReport) -> None:
        context.progress.update(report.epoch, f"loss {report.loss:.3f}  {report.images_per_s:.0f} images/s")

    recipe = config.final_training.model_copy(update={"exit_weights": None, "joint_loss": None})
    subnet = fresh_subnet(architecture, skeleton, child_seed(seed, "final", architecture.key, "weights")).to(device)
    taught = "taught" if has_teacher else "alone"
    checkpoint = beside / f"hand-made-{context.activation}-{taught}-{seed}.training.safetensors"
    fingerprint = _settings(context, seed, has_teacher)
    data = training_data(problem, recipe)
    if has_teacher:
        supernet, _ = prepare_supernet(problem, context.folder, context.progress)
        teacher = largest_teacher(supernet, problem)
        data = with_soft_labels(data, teacher, splits=splits, label_smoothing=recipe.label_smoothing)
    context.progress.start(name, recipe.epochs)
    train_network(subnet, data, recipe, seed=seed, recorder=Recorder(show, checkpoint, fingerprint))
    accuracies = []
    for split in (splits.validation, splits.test):
        with torch.no_grad():
            batches = splits.normalized_batches(split.images, config.estimation.batch_size, device=device)
            [logits] = output_logits(subnet, batches)
        accuracies.append(100.0 * float((logits.argmax(dim=1) == split.labels).double().mean()))
    checkpoint.unlink(missing_ok=True)
    return millions(exit_costs(architecture, skeleton).cumulative[-1]), accuracies[0], accuracies[1]


def print_means(rows: Sequence[dict[str, str]]) -> None:
    """Print mean and standard deviation over seeds for trainings of equal kind and length."""
    for kind in sorted({_kind(row) for row in rows}):
        found = [float(row["test_accuracy"]) for row in rows if _kind(row) == kind]
        activation, teacher, epochs = kind
        spread = f" ± {statistics.stdev(found):.2f}" if len(found) > 1 else ""
        mean = f"{statistics.mean(found):.2f}{spread} % ({len(found)} {'seed' if len(found) == 1 else 'seeds'})"
        sys.stdout.write(f"{activation}, teacher {teacher}, epochs {epochs}: {mean}\n")


def _kind(row: dict[str, str]) -> tuple[str, str, int]:
    return row["activation"], row["teacher"], int(row["epochs"])


if __name__ == "__main__":
    main()
