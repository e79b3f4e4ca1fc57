"""Loss of one network in a training step, for all configurable kinds of losses."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Protocol

from torch import Tensor

from aebnas_bo.space.architecture import Architecture, Skeleton
from aebnas_bo.space.macs import exit_costs
from aebnas_bo.training.joint_loss import Targets, joint_loss, support_accuracy
from aebnas_bo.training.losses import exit_loss, output_targets, output_weights, weights_of_images
from aebnas_bo.training.settings import TrainingConfig
from aebnas_bo.training.training_loop import TrainingData

SUPPORT_BATCH = 256

Network = Callable[[Tensor], Sequence[Tensor]]
Supervision = Sequence[Tensor | None]
"""Auxiliary logits of each active exit that train the backbone; `None` if the branch itself trains it."""


class NetworkLoss(Protocol):
    """Interface for the loss of one network on a batch."""

    def __call__(
        self, architecture: Architecture, outputs: Sequence[Tensor], *, supervision: Supervision, targets: Targets
    ) -> Tensor:
        """Return the loss, a scalar, from a network, its outputs, their supervision and their targets."""
        ...


def make_network_loss(
    config: TrainingConfig,
    skeleton: Skeleton,
    data: TrainingData,
    *,
    networks: Callable[[], Sequence[Network]],
) -> NetworkLoss:
    """Return the loss of an epoch.

    Args:
        config: Settings of the loss.
        skeleton: The fixed part of the networks' space.
        data: Training data, with a support set if the loss needs one.
        networks: Returns the sub-networks used to estimate per-class exit accuracy on the support set; called only if
            there is one.
    """
    loss = _loss(config, skeleton, data, networks=networks)
    class_weights = data.class_weights
    if class_weights is None:
        return loss

    def weighed(
        architecture: Architecture, outputs: Sequence[Tensor], *, supervision: Supervision, targets: Targets
    ) -> Tensor:
        of_images = replace(targets, weights=weights_of_images(targets.labels, class_weights))
        return loss(architecture, outputs, supervision=supervision, targets=of_images)

    return weighed


def _loss(
    config: TrainingConfig,
    skeleton: Skeleton,
    data: TrainingData,
    *,
    networks: Callable[[], Sequence[Network]],
) -> NetworkLoss:
    joint = config.joint_loss
    if joint is None:
        return partial(_exit_loss, config)
    known = None
    if data.support is not None:
        known = support_accuracy(networks(), *data.support, batch_size=SUPPORT_BATCH)

    def loss(
        architecture: Architecture, outputs: Sequence[Tensor], *, supervision: Supervision, targets: Targets
    ) -> Tensor:
        macs = exit_costs(architecture, skeleton).cumulative
        own = joint_loss(
            outputs, targets, macs=macs, support_accuracy=known, config=joint, label_smoothing=config.label_smoothing
        )
        return own + _supervision_loss(config, architecture, outputs, supervision=supervision, targets=targets)

    return loss


def _exit_loss(
    config: TrainingConfig,
    architecture: Architecture,
    outputs: Sequence[Tensor],
    *,
    supervision: Supervision,
    targets: Targets,
) -> Tensor:
    classes = _classes(outputs, outputs)
    own_targets = output_targets(
        classes, targets.taught, has_exit_distillation=config.exit_distillation, label_smoothing=config.label_smoothing
    )
    weights = output_weights(architecture, config.exit_weights)
    own = exit_loss(
        classes, own_targets, weights, label_smoothing=config.label_smoothing, image_weights=targets.weights
    )
    return own + _supervision_loss(config, architecture, outputs, supervision=supervision, targets=targets)


def _supervision_loss(
    config: TrainingConfig,
    architecture: Architecture,
    outputs: Sequence[Tensor],
    *,
    supervision: Supervision,
    targets: Targets,
) -> Tensor:
    """Return the loss of the auxiliary heads that train the backbone, with the weights of their exits."""
    weights = output_weights(architecture, config.exit_weights)
    in_use = [(logits, weight) for logits, weight in zip(supervision, weights, strict=False) if logits is not None]
    logits = _classes([logits for logits, _ in in_use], outputs)
    return exit_loss(
        logits, [targets.taught] * len(logits), [weight for _, weight in in_use],
        label_smoothing=config.label_smoothing, image_weights=targets.weights,
    )  # fmt: skip


def _classes(logits: Sequence[Tensor], outputs: Sequence[Tensor]) -> list[Tensor]:
    """Return the logits of the classes, without the logit of an untrained confidence."""
    num_classes = outputs[-1].shape[-1]
    return [one[:, :num_classes] for one in logits]
