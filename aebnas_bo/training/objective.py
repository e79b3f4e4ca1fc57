"""What one network of a training step is judged by, whichever loss the configuration asks for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from torch import Tensor

from aebnas_bo.config import TrainingConfig
from aebnas_bo.space.architecture import Architecture, Skeleton
from aebnas_bo.space.macs import exit_costs
from aebnas_bo.training.joint_loss import joint_loss, support_accuracy
from aebnas_bo.training.loop import TrainingData
from aebnas_bo.training.losses import exit_loss, output_targets, output_weights

SUPPORT_BATCH = 256

Network = Callable[[Tensor], Sequence[Tensor]]
NetworkLoss = Callable[[Architecture, Sequence[Tensor], Tensor, Tensor], Tensor]
"""Takes a network, its outputs on a batch, what they shall learn (maybe a teacher's answers) and what is right; gives
a scalar."""


def make_network_loss(
    config: TrainingConfig,
    skeleton: Skeleton,
    data: TrainingData,
    networks: Callable[[], Sequence[Network]],
) -> NetworkLoss:
    """Return the loss of an epoch.

    Args:
        config: Which loss, and its settings.
        skeleton: The fixed part of the networks' space.
        data: Holds the support set, if the loss needs one.
        networks: Gives those that stand for all in what exits get right on the support set as the epoch begins; asked
            only where there is one.
    """
    joint = config.joint_loss
    if joint is None:
        return partial(_exit_loss, config)
    known = None
    if data.support is not None:
        known = support_accuracy(networks(), *data.support, SUPPORT_BATCH)

    def loss(architecture: Architecture, outputs: Sequence[Tensor], targets: Tensor, labels: Tensor) -> Tensor:
        macs = exit_costs(architecture, skeleton).cumulative
        return joint_loss(outputs, targets, labels, macs, known, joint, config.label_smoothing)

    return loss


def _exit_loss(
    config: TrainingConfig, architecture: Architecture, outputs: Sequence[Tensor], targets: Tensor, _: Tensor
) -> Tensor:
    num_classes = outputs[-1].shape[-1]
    classes = [output[:, :num_classes] for output in outputs]  # an untrained confidence's logit stays out
    own_targets = output_targets(classes, targets, config.exit_distillation, config.label_smoothing)
    weights = output_weights(architecture, config.exit_weights)
    return exit_loss(classes, own_targets, weights, config.label_smoothing)
