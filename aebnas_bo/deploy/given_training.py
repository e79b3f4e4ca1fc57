"""Training of networks on a given backbone: initial weights, teacher, and comparison with the original network."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import torch

from aebnas_bo.data.images import LabelledImages
from aebnas_bo.data.transforms import normalize
from aebnas_bo.deploy.description import NetworkDescription, Original
from aebnas_bo.deploy.final_recipe import fresh_subnet, train_network
from aebnas_bo.deploy.teacher import final_logits, with_soft_labels
from aebnas_bo.preparation.features import FrozenBackbone
from aebnas_bo.preparation.problem import Problem
from aebnas_bo.seeding import child_seed
from aebnas_bo.space.architecture import Architecture
from aebnas_bo.space.macs import millions
from aebnas_bo.supernet.subnet import Subnet
from aebnas_bo.training.settings import FinalTrainingConfig
from aebnas_bo.training.training_loop import NO_RECORDER, Recorder, TrainingData

BATCH_SIZE = 256


@dataclass(frozen=True)
class ClassifierAccuracy:
    """Validation accuracy of a backbone's classifier as it was given and after training, in percent.

    Args:
        original: As it was given.
        trained: After training.
        sem: Binomial standard error of the original accuracy.
    """

    original: float
    trained: float
    sem: float

    def __str__(self) -> str:
        verdict = "" if self.trained >= self.original - self.sem else "; lower final_training.backbone_rate"
        return (
            f"the final classifier has {self.trained:.1f} % of the validation images, the original network "
            f"{self.original:.1f} %{verdict}"
        )


def initial_network(problem: Problem, architecture: Architecture, seed: int) -> Subnet:
    """Return a network with random weights, and with those of the given backbone if the space has one.

    Args:
        problem: The space and the device.
        architecture: The network.
        seed: Seed of the training.

    Raises:
        ConfigError: If the backbone cannot be created as it was, or its weights are missing or changed.
    """
    declared, skeleton = problem.space.declaration.backbone, problem.space.skeleton
    pieces = [] if declared is None else FrozenBackbone.of(declared, skeleton, problem.device).pieces
    weights = child_seed(seed, "final", architecture.key, "weights")
    return fresh_subnet(architecture, skeleton, weights, pieces=pieces).to(problem.device)


def train_given(
    problem: Problem,
    architecture: Architecture,
    data: TrainingData,
    *,
    config: FinalTrainingConfig,
    recorder: Recorder = NO_RECORDER,
) -> Subnet:
    """Train the branches of one network on a given backbone from random weights, with the study's seed.

    Args:
        problem: The space, the device and the seed.
        architecture: The network.
        data: The training images.
        config: The recipe; of teachers, only the original network is used.
        recorder: Receives epochs and checkpoints.

    Raises:
        AebnasError: See `initial_network` and `train_network`.
    """
    seed = problem.config.seed
    subnet = initial_network(problem, architecture, seed)
    data = taught_by_original(subnet, data, config, problem=problem)
    return train_with_backbone(subnet, data, config, seed=seed, recorder=recorder)


def train_with_backbone(
    subnet: Subnet, data: TrainingData, config: FinalTrainingConfig, *, seed: int, recorder: Recorder = NO_RECORDER
) -> Subnet:
    """Train a network in place; its given backbone only if the recipe has a learning rate for it.

    Args:
        subnet: See `train_network`.
        data: See `train_network`.
        config: See `train_network`.
        seed: See `train_network`.
        recorder: See `train_network`.

    Raises:
        AebnasError: See `train_network`.
    """
    if subnet.skeleton.given is not None and config.backbone_rate > 0:
        for one in (subnet.stages, subnet.head):
            one.requires_grad_(True)
    return train_network(subnet, data, config, seed=seed, recorder=recorder)


def taught_by_original(
    subnet: Subnet, data: TrainingData, config: FinalTrainingConfig, *, problem: Problem
) -> TrainingData:
    """Return training data with the outputs of the original network if that is the recipe's teacher.

    Args:
        subnet: The network before its training, whose final classifier is that of the original network.
        data: The training images.
        config: The recipe.
        problem: Means, standard deviations and augmentation.
    """
    if config.teacher_source != "original":
        return data
    return with_soft_labels(
        data, final_logits(subnet.eval()), splits=problem.splits, label_smoothing=config.label_smoothing
    )


@torch.no_grad()
def final_accuracy(subnet: Subnet, problem: Problem, images: LabelledImages) -> float:
    """Return the accuracy of a network's final classifier in percent.

    Args:
        subnet: The network in evaluation mode.
        problem: Means, standard deviations and the device.
        images: The images to classify.
    """
    logits_of, splits = final_logits(subnet), problem.splits
    ready = partial(normalize, mean=splits.mean, std=splits.std, device=problem.device)
    batches = torch.split(images.images, BATCH_SIZE)
    predictions = torch.cat([logits_of(ready(batch)).argmax(dim=-1).cpu() for batch in batches])
    return 100.0 * float((predictions == images.labels).double().mean())


def with_original(description: NetworkDescription, problem: Problem) -> NetworkDescription:
    """Return the description of a network whose backbone was trained, with the figures of the original one.

    Args:
        description: The description.
        problem: The space, the images and the device.

    Raises:
        ConfigError: See `initial_network`.
    """
    given, architecture = problem.space.skeleton.given, problem.space.largest_without_exits
    assert given is not None
    subnet = initial_network(problem, architecture, 0).eval()
    splits = problem.splits
    original = Original(
        validation_accuracy=final_accuracy(subnet, problem, splits.validation),
        test_accuracy=final_accuracy(subnet, problem, splits.test),
        macs=millions(given.macs),
    )
    return description.model_copy(update={"original": original})


def kept_accuracy(original: float, subnet: Subnet, problem: Problem) -> ClassifierAccuracy:
    """Compare a trained network's final classifier with the original network.

    Args:
        original: Accuracy of the original network, from `final_accuracy`.
        subnet: The trained network.
        problem: The images and the device.
    """
    share, count = original / 100.0, len(problem.splits.validation)
    sem = 100.0 * (share * (1.0 - share) / count) ** 0.5
    return ClassifierAccuracy(original, final_accuracy(subnet, problem, problem.splits.validation), sem)
