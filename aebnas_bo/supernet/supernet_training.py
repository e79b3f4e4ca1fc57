"""Training of a supernet: sandwich rule and in-place distillation (Yu et al. 2020).

Sources: sandwich rule and in-place distillation, BigNAS (Yu et al., ECCV 2020), sections 3.1 and 3.2; late exits
teaching early ones, Be Your Own Teacher (Zhang et al., ICCV 2019).
"""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import torch
from torch import Tensor, nn

from aebnas_bo.space.architecture import Architecture
from aebnas_bo.space.backbone_pool import backbone_pool
from aebnas_bo.space.network_space import NetworkSpace
from aebnas_bo.space.sampling import Extreme, TrainingSampler
from aebnas_bo.supernet.settings import SupernetConfig
from aebnas_bo.supernet.weight_sharing import Supervised, WeightSharing
from aebnas_bo.training.epoch_outputs import OutputMeter
from aebnas_bo.training.joint_loss import Targets
from aebnas_bo.training.losses import soft_labels
from aebnas_bo.training.network_loss import Network, NetworkLoss, make_network_loss
from aebnas_bo.training.precision import autocast
from aebnas_bo.training.process_start import first_process
from aebnas_bo.training.processes import ALONE, Processes, copied_to, without_averaging
from aebnas_bo.training.training_loop import NO_RECORDER, Backward, Recorder, TrainingData, TrainingRun, train

CPU = torch.device("cpu")


def train_supernet(
    supernet: WeightSharing,
    space: NetworkSpace,
    data: TrainingData,
    *,
    config: SupernetConfig,
    seed: int,
    recorder: Recorder = NO_RECORDER,
) -> None:
    """Train a supernet in place.

    Args:
        supernet: Fresh supernet, changed in place.
        space: The networks it holds.
        data: The images.
        config: Settings.
        seed: The run's seed.
        recorder: Where its epochs and checkpoints go; the loss of an epoch is that of each step's first network, the
            largest one.

    Raises:
        TrainingDivergedError: If the loss stays non-finite through all allowed roll-backs.
        CorruptStateError: If the checkpoint is damaged or belongs to another configuration.
        ProcessLostError: If one of several processes ends before the training.
        UsageError: If there are too few images or GPUs for the processes.
    """
    job = SupernetJob(supernet, space, data, config, seed)
    if config.processes == 1:
        job.train(ALONE, recorder)
        return
    sent = replace(job, supernet=copied_to(supernet, CPU), data=data.to(CPU))
    with first_process(config.processes, sent, data.labels.device) as processes:
        job.train(processes, recorder)


@dataclass(frozen=True)
class SupernetJob:
    """Training of a supernet in several processes; see `train_supernet`."""

    supernet: WeightSharing
    space: NetworkSpace
    data: TrainingData
    config: SupernetConfig
    seed: int

    def follow(self, processes: Processes, device: torch.device) -> None:
        """Train as one of the other processes."""
        mine = replace(self, supernet=self.supernet.to(device), data=self.data.to(device))
        mine.train(processes, NO_RECORDER)

    def train(self, processes: Processes, recorder: Recorder) -> None:
        """Train the supernet in place, together with the other processes."""
        config, space = self.config, self.space
        is_stratified = config.stratified and space.skeleton.given is None  # a given backbone has one size
        pool = backbone_pool(space, self.seed, config.max_macs) if is_stratified else None
        averaged = processes.wrapped(Supervisable(self.supernet), config)

        def make_backward(generator: np.random.Generator, meter: OutputMeter) -> Backward:
            sampler = TrainingSampler(space, generator, has_balanced_branches=config.balanced_branches, pool=pool)

            def networks() -> list[Network]:
                return [partial(self.supernet, architecture=sampler.draw(kind)) for kind in step_networks(config)]

            loss = make_network_loss(config, space.skeleton, self.data, networks=networks)
            return SupernetStep(averaged, sampler, loss, meter, config).backward

        networks_per_step = len(step_networks(config))
        run = TrainingRun(self.supernet, make_backward, networks_per_step, "supernet", "supernet", self.seed, processes)
        train(run, self.data, config, recorder=recorder)


class Supervisable(nn.Module):
    """Calls `supervised` as a forward pass, the only one that `DistributedDataParallel` sees."""

    def __init__(self, supernet: WeightSharing) -> None:
        super().__init__()
        self.supernet = supernet

    def forward(self, images: Tensor, architecture: Architecture) -> Supervised:
        """Return the outputs and their supervision."""
        return self.supernet.supervised(images, architecture)


def step_networks(config: SupernetConfig) -> tuple[Extreme, ...]:
    """Return which networks every step takes, the teacher first."""
    extremes: tuple[Extreme, ...] = ("largest", "smallest") if config.sandwich else ("random", "random")
    random: Extreme = "random"
    return (*extremes, *(random for _ in range(config.random_subnets)))


@dataclass(frozen=True)
class SupernetStep:
    """Step on a batch: every network learns from it.

    Args:
        supervised: A `Supervisable`, as `Processes.wrapped` returns it.
        sampler: Draws the networks.
        network_loss: Loss of one network.
        meter: Receives the outputs.
        config: Settings.
    """

    supervised: nn.Module
    sampler: TrainingSampler
    network_loss: NetworkLoss
    meter: OutputMeter
    config: SupernetConfig

    def backward(self, images: Tensor, targets: Tensor) -> Tensor:
        """Add the gradients of all networks of a step; return the first one's loss.

        Several processes average the sum over the networks, in the backward pass of the last one.
        """
        teacher: Tensor | None = None
        losses: list[Tensor] = []
        kinds = step_networks(self.config)
        for number, kind in enumerate(kinds, start=1):
            architecture = self.sampler.draw(kind)
            with nullcontext() if number == len(kinds) else without_averaging(self.supervised):
                with autocast(self.config.precision, images.device):
                    outputs, supervision = self.supervised(images, architecture)
                learned = Targets(targets if teacher is None else teacher, targets)
                loss = self.network_loss(architecture, outputs, supervision=supervision, targets=learned)
                loss.backward()  # type: ignore[no-untyped-call]
            self.meter.add(architecture, outputs, targets)
            losses.append(loss.detach())
            if teacher is None and kind == "largest" and self.config.distillation:
                teacher = soft_labels(outputs[-1])
        return losses[0]
