"""Plain families of `benchmarks.worth`: each network is trained separately for its share of processor time."""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor

from aebnas_bo.config.schema import Config
from aebnas_bo.data.augmentation import Augmentation
from aebnas_bo.data.datasets import load_splits
from aebnas_bo.data.images import LabelledImages
from aebnas_bo.data.splits import Splits
from aebnas_bo.deploy.final_recipe import train_from_scratch
from aebnas_bo.deploy.operating_points import BudgetPoint, MeasuredSplit, operating_points
from aebnas_bo.estimation.measuring import exit_table, output_logits
from aebnas_bo.seeding import child_seed, torch_generator
from aebnas_bo.space.architecture import Architecture, Skeleton
from aebnas_bo.space.macs import exit_costs
from aebnas_bo.space.plain_family import plain_network
from aebnas_bo.storage.atomic_files import write_text
from aebnas_bo.supernet.subnet import Subnet
from aebnas_bo.training.settings import FinalTrainingConfig
from aebnas_bo.training.training_loop import Recorder, TrainingData, shuffled_batches
from benchmarks.worth_jobs import Job, Point, Result, settings_key

TIMED_BATCHES, TIMED_EPOCHS = 30, 6  # short epochs to estimate the time of a full one; the first warms up

# Reference: the schedule of a small script that does not use this package.
PEAK, LEAST, WARMUP, BATCH, DECAY, SMOOTHING = 0.2, 1e-4, 0.15, 64, 2e-4, 0.05
SHIFT = 10  # largest shift of an image: a tenth of its side


@dataclass(frozen=True)
class Context:
    """Inputs of a training.

    Args:
        job: Network and training time.
        config: Configuration of the images.
        splits: Images of all splits.
        images: Training images.
        architecture: Network to train.
        skeleton: Fixed part of its space.
    """

    job: Job
    config: Config
    splits: Splits
    images: LabelledImages
    architecture: Architecture
    skeleton: Skeleton


def run_plain(job: Job, config: Config) -> Result:
    """Train one network of a plain family and measure it.

    Only thresholds need images that were not used for training: networks without exits are trained on all images except
    the test split.

    Args:
        job: Width, seed, time and folder.
        config: The configuration.

    Raises:
        AebnasError: If images cannot be read, or training fails.
    """
    splits = load_splits(config.data)
    architecture, skeleton = plain_network(
        job.width,
        image_size=splits.image_size,
        in_channels=splits.in_channels,
        num_classes=splits.num_classes,
        has_exit=job.part == "exit",
    )
    images = splits.train if job.part == "exit" else _all_images(splits)
    context = Context(job, config, splits, images, architecture, skeleton)
    train = _trained_by_reference if job.part == "reference" else _trained_by_recipe
    trained = train(context)
    points = [_point(job, trained.epochs, point) for point in _measured(context, trained.subnet)]
    return Result(
        dataset=config.name,
        minutes=job.minutes,
        part=job.part,
        seed=job.seed,
        settings=settings_key(config, job.part, job.num_networks),
        wall_seconds=trained.wall_seconds,
        processor_seconds=trained.processor_seconds,
        points=tuple(points),
    )


@dataclass(frozen=True)
class Trained:
    """Trained network and its training time."""

    subnet: Subnet
    epochs: float
    wall_seconds: float
    processor_seconds: float


def _all_images(splits: Splits) -> LabelledImages:
    parts = (splits.train, splits.calibration, splits.validation)
    return LabelledImages(torch.cat([part.images for part in parts]), torch.cat([part.labels for part in parts]))


def _trained_by_recipe(context: Context) -> Trained:
    recipe = context.config.final_training.model_copy(update={"exit_weights": None, "joint_loss": None})
    augment = Augmentation.of(context.config.augmentation_of(recipe), context.splits)
    data = TrainingData(context.images.images, context.images.labels, augment)
    epochs = _planned_epochs(context, data, recipe)
    wall, processor = time.monotonic(), time.process_time()
    recipe = recipe.model_copy(update={"epochs": epochs})
    subnet = train_from_scratch(context.architecture, context.skeleton, data, config=recipe, seed=context.job.seed)
    return Trained(subnet, epochs, time.monotonic() - wall, time.process_time() - processor)


def _planned_epochs(context: Context, data: TrainingData, recipe: FinalTrainingConfig) -> int:
    """Return the number of epochs that fits the time best; it is stored, so that a restarted training has as many."""
    path = context.job.folder / "epochs" / f"{context.job.name}.json"
    identity = [context.job.minutes, settings_key(context.config, context.job.part, context.job.num_networks)]
    if path.exists():
        plan = json.loads(path.read_text(encoding="utf-8"))
        if plan["identity"] == identity:
            return int(plan["epochs"])
    per_epoch = seconds_per_epoch(context.architecture, context.skeleton, data, recipe=recipe, seed=context.job.seed)
    epochs = max(round(context.job.seconds / per_epoch), 1)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_text(path, json.dumps({"identity": identity, "epochs": epochs, "seconds_per_epoch": per_epoch}) + "\n")
    return epochs


def seconds_per_epoch(
    architecture: Architecture, skeleton: Skeleton, data: TrainingData, *, recipe: FinalTrainingConfig, seed: int
) -> float:
    """Return processor seconds per epoch, from the median of some epochs over a few batches.

    Args:
        architecture: Network to train.
        skeleton: Fixed part of its space.
        data: All training images.
        recipe: Settings of the training.
        seed: Seed of weights and batches.
    """
    batches = max(len(data.images) // recipe.batch_size, 1)
    timed = min(batches, TIMED_BATCHES)
    few = TrainingData(data.images[: timed * recipe.batch_size], data.labels[: timed * recipe.batch_size], data.augment)
    recipe = recipe.model_copy(update={"epochs": TIMED_EPOCHS})
    ends: list[float] = []
    recorder = Recorder(lambda _: ends.append(time.process_time()))
    train_from_scratch(architecture, skeleton, few, config=recipe, seed=seed, recorder=recorder)
    return statistics.median(end - start for start, end in pairwise(ends)) * batches / timed


def _trained_by_reference(context: Context) -> Trained:
    """Train by the reference schedule until the time is over."""
    images, labels, seed = context.images.images, context.images.labels, context.job.seed
    side, splits = context.splits.image_size, context.splits
    augmentation = context.config.augmentation.model_copy(update={"crop_padding": max(side // SHIFT, 1)})
    augment = Augmentation.of(augmentation, splits)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(child_seed(seed, "reference", "weights") % 2**63)
        subnet = Subnet(context.architecture, context.skeleton).to(memory_format=torch.channels_last)
    optimizer = torch.optim.SGD(subnet.parameters(), PEAK, momentum=0.9, nesterov=True, weight_decay=DECAY)
    generator = torch_generator(seed, "reference", "images")
    wall, processor, num_seen = time.monotonic(), time.process_time(), 0

    def share() -> float:
        return (time.process_time() - processor) / context.job.seconds

    subnet.train()
    while share() < 1.0:
        for at in shuffled_batches(len(images), BATCH, generator):
            if (done := share()) >= 1.0:
                break
            for group in optimizer.param_groups:
                group["lr"] = LEAST + PEAK * min(done / WARMUP, (1.0 - done) / (1.0 - WARMUP))
            batch, targets = augment(images[at], labels[at], generator)
            optimizer.zero_grad()
            _loss(subnet, batch, targets).backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            num_seen += len(at)
    epochs = round(num_seen / len(images), 1)
    return Trained(subnet.eval(), epochs, time.monotonic() - wall, time.process_time() - processor)


def _loss(network: Callable[[Tensor], tuple[Tensor, ...]], images: Tensor, targets: Tensor) -> Tensor:
    return F.cross_entropy(network(images)[-1], targets, label_smoothing=SMOOTHING)


@torch.no_grad()
def _measured(context: Context, subnet: Subnet) -> list[BudgetPoint]:
    """Return the results of the network; one with exits has thresholds tuned on the validation images."""
    config, splits, costs = context.config, context.splits, exit_costs(context.architecture, context.skeleton)

    def measured(split: LabelledImages) -> MeasuredSplit:
        logits = output_logits(subnet, splits.normalized_batches(split.images, config.estimation.batch_size))
        table = exit_table(logits, split.labels, macs=costs.cumulative, key=context.job.name, config=config.estimation)
        return MeasuredSplit(table, split.labels, logits, config.estimation.confidence)

    price = config.final_training.macs_price
    return operating_points(measured(splits.validation), measured(splits.test), costs, price=price)


def _point(job: Job, epochs: float, point: BudgetPoint) -> Point:
    is_held_out = job.part == "exit"
    return Point(
        network=f"w{job.width}",
        epochs=epochs,
        validation_macs=point.validation.average_macs if is_held_out else None,
        validation_accuracy=point.validation.accuracy if is_held_out else None,
        test_macs=point.test.average_macs,
        test_accuracy=point.test.accuracy,
    )
