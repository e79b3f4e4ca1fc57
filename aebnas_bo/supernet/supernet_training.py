"""Training of a supernet: sandwich rule and in-place distillation (Yu et al. 2020).

Sources: sandwich rule and in-place distillation, BigNAS (Yu et al., ECCV 2020), sections 3.1 and 3.2; late exits
teaching early ones, Be Your Own Teacher (Zhang et al., ICCV 2019).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import numpy as np
from torch import Tensor

from aebnas_bo.space.backbone_pool import backbone_pool
from aebnas_bo.space.network_space import NetworkSpace
from aebnas_bo.space.sampling import Extreme, TrainingSampler
from aebnas_bo.supernet.settings import SupernetConfig
from aebnas_bo.supernet.weight_sharing import WeightSharing
from aebnas_bo.training.epoch_outputs import OutputMeter
from aebnas_bo.training.joint_loss import Targets
from aebnas_bo.training.losses import soft_labels
from aebnas_bo.training.network_loss import Network, NetworkLoss, make_network_loss
from aebnas_bo.training.precision import autocast
from aebnas_bo.training.training_loop import NO_RECORDER, Backward, Recorder, TrainingData, TrainingRun, train


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
    """
    is_stratified = config.stratified and space.skeleton.given is None  # a given backbone has one size
    pool = backbone_pool(space, seed, config.max_macs) if is_stratified else None

    def make_backward(generator: np.random.Generator, meter: OutputMeter) -> Backward:
        sampler = TrainingSampler(space, generator, has_balanced_branches=config.balanced_branches, pool=pool)

        def networks() -> list[Network]:
            return [partial(supernet, architecture=sampler.draw(kind)) for kind in step_networks(config)]

        loss = make_network_loss(config, space.skeleton, data, networks=networks)
        step = _Step(supernet, sampler, loss, meter, config)
        return step.backward

    run = TrainingRun(supernet, make_backward, len(step_networks(config)), "supernet", "supernet", seed)
    train(run, data, config, recorder=recorder)


def step_networks(config: SupernetConfig) -> tuple[Extreme, ...]:
    """Return which networks every step takes, the teacher first."""
    extremes: tuple[Extreme, ...] = ("largest", "smallest") if config.sandwich else ("random", "random")
    random: Extreme = "random"
    return (*extremes, *(random for _ in range(config.random_subnets)))


@dataclass(frozen=True)
class _Step:
    """Step on a batch: every network learns from it."""

    supernet: WeightSharing
    sampler: TrainingSampler
    network_loss: NetworkLoss
    meter: OutputMeter
    config: SupernetConfig

    def backward(self, images: Tensor, targets: Tensor) -> float:
        """Add the gradients of all networks of a step; return the first one's loss."""
        teacher: Tensor | None = None
        first_loss: Tensor | None = None
        for kind in step_networks(self.config):
            architecture = self.sampler.draw(kind)
            with autocast(self.config.precision, images.device):
                outputs, supervision = self.supernet.supervised(images, architecture)
            learned = Targets(targets if teacher is None else teacher, targets)
            loss = self.network_loss(architecture, outputs, supervision=supervision, targets=learned)
            loss.backward()  # type: ignore[no-untyped-call]
            self.meter.add(architecture, outputs, targets)
            if first_loss is None:
                first_loss = loss.detach()
            if teacher is None and kind == "largest" and self.config.distillation:
                teacher = soft_labels(outputs[-1])
        return float(first_loss) if first_loss is not None else 0.0
