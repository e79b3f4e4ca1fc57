"""Final training of one network with all its exits."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor, nn

from aebnas_bo.data.augmentation import Augmentation
from aebnas_bo.errors import UsageError
from aebnas_bo.seeding import child_seed, torch_generator
from aebnas_bo.space.architecture import Architecture, Skeleton
from aebnas_bo.supernet.batchnorm import average_statistics
from aebnas_bo.supernet.elastic_layers import channels_last
from aebnas_bo.supernet.given_subnet import GivenSubnet
from aebnas_bo.supernet.subnet import Subnet
from aebnas_bo.training.epoch_outputs import OutputMeter
from aebnas_bo.training.joint_loss import Targets
from aebnas_bo.training.network_loss import make_network_loss
from aebnas_bo.training.precision import autocast
from aebnas_bo.training.process_start import first_process
from aebnas_bo.training.processes import ALONE, Processes, copied_to
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
from aebnas_bo.training.training_state import NO_MUON, MuonWeights

CPU = torch.device("cpu")
STATISTICS_BATCH, STATISTICS_BATCHES = 256, 20
BACKBONE_PARTS = ("stages.", "head.")  # names of the weights of a given backbone in a network


def train_from_scratch(
    architecture: Architecture,
    skeleton: Skeleton,
    data: TrainingData,
    *,
    config: FinalTrainingConfig,
    seed: int,
    recorder: Recorder = NO_RECORDER,
) -> Subnet:
    """Train one network from random weights.

    Args:
        architecture: The network.
        skeleton: The fixed part of its space.
        data: See `train_network`.
        config: See `train_network`.
        seed: Seed of weights and batches.
        recorder: See `train_network`.

    Raises:
        AebnasError: See `train_network`.
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

    BatchNorm statistics are recomputed at the end with the final (or averaged) weights. The images for them are
    augmented as in training: statistics of images without augmentation differ, and on CIFAR-10 they lower accuracy by
    one point.

    Args:
        subnet: The network with its initial weights, on the device of the images.
        data: The training images.
        config: The recipe.
        seed: Seed of batches; seed and key of the architecture determine the random streams.
        recorder: Receives epochs and checkpoints.

    Returns:
        The network in evaluation mode.

    Raises:
        TrainingDivergedError: If the loss stays non-finite after all allowed roll-backs.
        CorruptStateError: If the checkpoint is damaged or belongs to another configuration.
        ProcessLostError: If one of several processes ends before the training.
        UsageError: If there are too few images or GPUs for the processes.
    """
    if not any(parameter.requires_grad for parameter in subnet.parameters()):
        return subnet.eval()  # a given backbone without exits
    data = _at_resolution(data, subnet.resolution)
    subnet.train()
    if config.processes == 1:
        _train(subnet, data, config, seed=seed, recorder=recorder)
    else:
        job = NetworkJob(copied_to(subnet, CPU), data.to(CPU), config, seed)
        with first_process(config.processes, job, data.labels.device) as processes:
            _train(subnet, data, config, seed=seed, recorder=recorder, processes=processes)
    generator = torch_generator(seed, _name(subnet), "statistics")
    average_statistics(subnet, _statistics_images(data, generator))
    return subnet


@dataclass(frozen=True)
class NetworkJob:
    """Training of a network in several processes; see `train_network`."""

    subnet: Subnet
    data: TrainingData
    config: FinalTrainingConfig
    seed: int

    def follow(self, processes: Processes, device: torch.device) -> None:
        """Train as one of the other processes."""
        subnet, data = self.subnet.to(device), self.data.to(device)
        _train(subnet, data, self.config, seed=self.seed, recorder=NO_RECORDER, processes=processes)


def _name(subnet: Subnet) -> str:
    return f"network {subnet.architecture.key}"


def _train(
    subnet: Subnet,
    data: TrainingData,
    config: FinalTrainingConfig,
    *,
    seed: int,
    recorder: Recorder,
    processes: Processes = ALONE,
) -> None:
    uses_all = config.exit_weights is None or 0.0 not in config.exit_weights
    forward: Callable[[Tensor], tuple[Tensor, ...]] = processes.wrapped(subnet, config, uses_all=uses_all)
    is_synchronized = processes.count > 1 and config.synchronized_batch_norm  # its communication cannot be compiled
    if config.compile and not is_synchronized and data.labels.device.type == "cuda":
        torch._dynamo.reset()  # dynamo compiles a forward pass for at most eight networks
        forward = torch.compile(forward)

    def make_backward(_: np.random.Generator, meter: OutputMeter) -> Backward:
        network_loss = make_network_loss(config, subnet.skeleton, data, networks=lambda: [subnet])

        def backward(images: Tensor, targets: Tensor) -> Tensor:
            with autocast(config.precision, images.device):
                outputs = forward(images)
            loss = network_loss(subnet.architecture, outputs, supervision=(), targets=Targets(targets, targets))
            loss.backward()  # type: ignore[no-untyped-call]
            meter.add(subnet.architecture, outputs, targets)
            return loss.detach()

        return backward

    run = TrainingRun(
        subnet,
        make_backward,
        networks_per_step=1,
        name=_name(subnet),
        section="final_training",
        seed=seed,
        processes=processes,
        rate_factors=_rate_factors(subnet, config),
        muon=muon_weights(subnet, config),
    )
    train(run, data, config, recorder=recorder)


def _rate_factors(subnet: Subnet, config: FinalTrainingConfig) -> dict[str, float]:
    """Return factors of the learning rate by the start of weights' names; the first that fits counts."""
    factors = {} if subnet.skeleton.given is None else dict.fromkeys(BACKBONE_PARTS, config.backbone_rate)
    norms = (name for name, module in subnet.named_modules() if isinstance(module, nn.BatchNorm2d))
    return factors | {f"{name}.bias": config.batchnorm_bias_rate for name in norms}


def _at_resolution(data: TrainingData, resolution: int) -> TrainingData:
    """Return training data with images of a network's resolution; unchanged if they are not larger."""
    if not isinstance(data.augment, Augmentation) or data.images.shape[-1] <= resolution:
        return data
    images, augment = data.augment.resized(data.images, resolution)
    return replace(data, images=images, augment=augment)


def muon_weights(subnet: Subnet, config: FinalTrainingConfig) -> MuonWeights:
    """Return the weights of a network that Muon trains: of convolutions followed by BatchNorm, except depthwise ones.

    Args:
        subnet: The network; the weights of a given backbone are not among them.
        config: The recipe.
    """
    if config.muon_learning_rate is None:
        return NO_MUON
    convolutions = (unit.convolution for unit in subnet.conv_norms())
    dense = tuple(convolution.weight for convolution in convolutions if convolution.groups == 1)
    return MuonWeights(dense, config.muon_learning_rate)


def _statistics_images(data: TrainingData, generator: torch.Generator) -> Iterator[Tensor]:
    for indices in shuffled_batches(len(data.images), STATISTICS_BATCH, generator)[:STATISTICS_BATCHES]:
        at = indices.to(data.images.device)
        yield data.augment(data.images[at], data.labels[at], generator)[0]


def fresh_subnet(
    architecture: Architecture, skeleton: Skeleton, seed: int, *, pieces: Sequence[nn.Module] = ()
) -> Subnet:
    """Return a network with random weights from PyTorch's default initialisation.

    Args:
        architecture: The network.
        skeleton: The fixed part of its space.
        seed: Seed of the weights.
        pieces: Pieces of a given backbone, which keep their weights.

    Raises:
        UsageError: If the space has a given backbone, and its pieces are missing.
    """
    if skeleton.given is not None and not pieces:
        raise UsageError(
            f"networks on a given backbone, {skeleton.given.name}, need its weights; this training starts without them"
        )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        subnet = Subnet(architecture, skeleton) if not pieces else GivenSubnet(architecture, skeleton, pieces)
    for module in subnet.branches.modules() if pieces else subnet.modules():
        if isinstance(module, nn.Conv2d):
            module.weight = nn.Parameter(channels_last(module.weight.detach()))
    return subnet
