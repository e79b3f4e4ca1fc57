"""Trainings for tests of several processes; the processes import this module."""

from __future__ import annotations

import os
import signal
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from aebnas_bo.seeding import numpy_generator
from aebnas_bo.space.declaration import BranchLayerChoices, ExitChoices, NetworkSpaceDeclaration, StageChoices
from aebnas_bo.space.network_space import NetworkSpace
from aebnas_bo.space.sampling import TrainingSampler
from aebnas_bo.supernet.settings import SupernetConfig
from aebnas_bo.supernet.supernet import Supernet
from aebnas_bo.supernet.supernet_training import SupernetJob, SupernetStep, Supervisable
from aebnas_bo.training.epoch_outputs import OutputMeter
from aebnas_bo.training.network_loss import make_network_loss
from aebnas_bo.training.processes import Processes
from aebnas_bo.training.training_loop import Recorder, TrainingData

STAGE = StageChoices(widths=(4, 6), depths=(1, 2), kernels=(3,), expansions=(1, 2), stride=2)
LAYER = BranchLayerChoices(kinds=("dense", "depthwise_separable"), expansions=(1, 2))
SPACE = NetworkSpace(
    NetworkSpaceDeclaration(
        resolutions=(8,), stem_channels=4, stem_stride=1, head_channels=0, branch_stride=1, activation="relu",
        stages=(STAGE, STAGE), exits=(ExitChoices(after_stage=1, depths=(0, 1, 2), layers=(LAYER,)),),
    ),
    in_channels=1, num_classes=2,
)  # fmt: skip


def unchanged(images: Tensor, labels: Tensor, _: torch.Generator) -> tuple[Tensor, Tensor]:
    """Augmentation that can be pickled."""
    return images, labels


def stripes(num_images: int = 64) -> TrainingData:
    """Horizontal or vertical stripes, under noise."""
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(num_images) % 2
    images = 0.5 * torch.randn(num_images, 1, 8, 8, generator=generator)
    images[labels == 0, :, ::2, :] += 1.5
    images[labels == 1, :, :, ::2] += 1.5
    return TrainingData(images, labels, unchanged)


def fresh_supernet() -> Supernet:
    return Supernet(SPACE.declaration, SPACE.skeleton, 0)


def step(
    supernet: Supernet, processes: Processes, config: SupernetConfig, images: Tensor, labels: Tensor
) -> tuple[float, dict[str, Tensor]]:
    """Average loss and gradients of one step, in which every process has its share of the images."""
    sampler = TrainingSampler(SPACE, numpy_generator(0, "step"), has_balanced_branches=True)
    loss = make_network_loss(config, SPACE.skeleton, stripes(), networks=list)
    taken = SupernetStep(processes.wrapped(Supervisable(supernet), config), sampler, loss, OutputMeter(), config)
    at = processes.share(torch.arange(len(images)))
    mean_loss = float(processes.mean(taken.backward(images[at], labels[at])))
    return mean_loss, {name: one.grad for name, one in supernet.named_parameters() if one.grad is not None}


@dataclass(frozen=True)
class GradientJob:
    """Writes the gradients of one step."""

    config: SupernetConfig
    folder: Path

    def follow(self, processes: Processes, device: torch.device) -> None:
        data = stripes()
        _, gradients = step(fresh_supernet(), processes, self.config, data.images[:32], data.labels[:32])
        torch.save(gradients, self.folder / "gradients.pt")


@dataclass(frozen=True)
class StepJob:
    """Takes part in one step."""

    config: SupernetConfig
    images: Tensor
    labels: Tensor

    def follow(self, processes: Processes, device: torch.device) -> None:
        step(fresh_supernet(), processes, self.config, self.images, self.labels)


@dataclass(frozen=True)
class KeptJob(SupernetJob):
    """Also writes the weights of the other process."""

    def train(self, processes: Processes, recorder: Recorder) -> None:
        super().train(processes, recorder)
        if processes.rank > 0:
            torch.save(self.supernet.state_dict(), os.environ["KEPT_WEIGHTS"])


@dataclass(frozen=True)
class SumJob:
    """Writes the sum of the processes' numbers."""

    folder: Path

    def follow(self, processes: Processes, device: torch.device) -> None:
        total = processes.total(torch.tensor([float(processes.rank)]))
        (self.folder / f"{processes.rank}.txt").write_text(str(float(total)))


@dataclass(frozen=True)
class DyingJob:
    """Ends in the middle of a training."""

    way: str

    def follow(self, processes: Processes, device: torch.device) -> None:
        processes.total(torch.zeros(1))
        if self.way == "killed":
            os.kill(os.getpid(), signal.SIGKILL)
        if self.way == "error":
            raise ValueError("out of luck")
        os._exit(3)  # at once: an ordinary exit may end by a signal while threads of gloo run
