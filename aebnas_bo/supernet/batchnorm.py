"""Re-estimation of BatchNorm statistics; without it a sub-network predicts at chance level."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from aebnas_bo.errors import DataError
from aebnas_bo.supernet.subnet import Subnet


def calibrate_batchnorm(subnet: Subnet, images: Tensor, batch_size: int) -> None:
    """Replace all running statistics by averages over the given images; leave evaluation mode on.

    Images are dealt to batches in turn, for they may come class by class, and batches of a few classes have other
    statistics. Batches are of equal size up to one image, none has a single image (BatchNorm refuses one at 1x1
    pixels), and every image weighs the same.

    Args:
        subnet: The network, changed in place.
        images: `N x C x H x W`, normalised; at least 2.
        batch_size: Largest number of images per batch; 3 if a smaller one would leave a single image.

    Raises:
        DataError: If there are fewer than 2 images.
    """
    if len(images) < 2:
        raise DataError(f"BatchNorm statistics need at least 2 calibration images, got {len(images)}")
    num_batches = min(-(-len(images) // batch_size), len(images) // 2)
    average_statistics(subnet, (images[first::num_batches] for first in range(num_batches)))


@torch.no_grad()
def average_statistics(subnet: Subnet, batches: Iterable[Tensor]) -> None:
    """Replace all running statistics by averages over the given batches; leave evaluation mode on.

    Args:
        subnet: The network, changed in place.
        batches: At least one of `B x C x H x W`, normalised; every image weighs the same.
    """
    norms = [module for module in subnet.modules() if isinstance(module, nn.BatchNorm2d)]
    for norm in norms:
        norm.reset_running_stats()
    if not subnet.training:
        subnet.train()
    num_seen = 0
    for batch in batches:
        num_seen += len(batch)
        for norm in norms:
            norm.momentum = len(batch) / num_seen  # running statistics = mean over all images so far
        subnet(batch)
    for norm in norms:
        norm.momentum = 0.1  # PyTorch's default, for further training
    subnet.eval()


def is_statistic(name: str) -> bool:
    """Return whether an entry of a network's state is an estimated BatchNorm statistic."""
    return name.endswith((".running_mean", ".running_var"))
