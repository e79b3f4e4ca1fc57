"""The final recipe: one network trained to the end, all its exits together."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import torch
from torch import Tensor, nn

from aebnas_bo.seeding import child_seed, torch_generator
from aebnas_bo.space.architecture import Architecture, Skeleton
from aebnas_bo.supernet.batchnorm import average_statistics
from aebnas_bo.supernet.elastic_layers import channels_last
from aebnas_bo.supernet.subnet import Subnet
from aebnas_bo.training.joint_loss import Targets
from aebnas_bo.training.network_loss import make_network_loss
from aebnas_bo.training.precision import autocast
from aebnas_bo.training.settings import FinalTrainingConfig
from aebnas_bo.training.training_loop import (
    NO_RECORDER,
    Backward,
    Recorder,
    TrainingData,
    TrainingRun,
    shuffled_batches,
    train,
)

STATISTICS_BATCH, STATISTICS_BATCHES = 256, 20


def train_from_scratch(
    architecture: Architecture,
    skeleton: Skeleton,
    data: TrainingData,
    *,
    config: FinalTrainingConfig,
    seed: int,
    recorder: Recorder = NO_RECORDER,
) -> Subnet:
    """Train one network from fresh weights, without any help of a supernet's.

    Args:
        architecture: The network.
        skeleton: The fixed part of its space.
        data: As for `train_network`, like all that follow.
        config: Likewise.
        seed: Seed of weights and batches.
        recorder: Likewise.

    Raises:
        AebnasError: As `train_network`.
    """
    weights = child_seed(seed, "final", architecture.key, "weights")
    subnet = fresh_subnet(architecture, skeleton, weights).to(data.labels.device)
    return train_network(subnet, data, config, seed=seed, recorder=recorder)


def train_network(
    subnet: Subnet,
    data: TrainingData,
    config: FinalTrainingConfig,
    *,
    seed: int,
    recorder: Recorder = NO_RECORDER,
) -> Subnet:
    """Train a network in place.

    BatchNorm statistics are taken again at the end, with the final (or averaged) weights, over training images that are
    shifted, mirrored or mixed as those the weights were trained on: images left as they are have others, on CIFAR-10
    at the price of a point.

    Args:
        subnet: The network, its weights as training begins, on the images' device.
        data: The training images.
        config: The recipe.
        seed: Seed of batches; with the architecture's key it names the random streams.
        recorder: Where its epochs and checkpoints go.

    Returns:
        The network in evaluation mode.

    Raises:
        TrainingDivergedError: If the loss stays non-finite through all allowed roll-backs.
        CorruptStateError: If the checkpoint is damaged or belongs to another configuration.
    """
    forward: Callable[[Tensor], tuple[Tensor, ...]] = subnet
    if config.compile and data.labels.device.type == "cuda":
        torch._dynamo.reset()  # compiles one forward pass for eight networks at most
        forward = torch.compile(subnet)

    def make_backward(_: np.random.Generator) -> Backward:
        network_loss = make_network_loss(config, subnet.skeleton, data, networks=lambda: [forward])

        def backward(images: Tensor, targets: Tensor) -> float:
            with autocast(config.precision, images.device):
                outputs = forward(images)
            loss = network_loss(subnet.architecture, outputs, supervision=(), targets=Targets(targets, targets))
            loss.backward()  # type: ignore[no-untyped-call]
            return float(loss.detach())

        return backward

    subnet.train()
    run = TrainingRun(subnet, make_backward, 1, f"network {subnet.architecture.key}", "final_training", seed)
    train(run, data, config, recorder=recorder)
    average_statistics(subnet, _statistics_images(data, torch_generator(seed, run.name, "statistics")))
    return subnet


def _statistics_images(data: TrainingData, generator: torch.Generator) -> Iterator[Tensor]:
    for indices in shuffled_batches(len(data.images), STATISTICS_BATCH, generator)[:STATISTICS_BATCHES]:
        at = indices.to(data.images.device)
        yield data.augment(data.images[at], data.labels[at], generator)[0]


def fresh_subnet(architecture: Architecture, skeleton: Skeleton, seed: int) -> Subnet:
    """Return a network with random weights, initialised as PyTorch's layers are by default.

    Args:
        architecture: The network.
        skeleton: The fixed part of its space.
        seed: Seed of the weights.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        subnet = Subnet(architecture, skeleton)
    for module in subnet.modules():
        if isinstance(module, nn.Conv2d):
            module.weight = nn.Parameter(channels_last(module.weight.detach()))
    return subnet
