"""Re-estimating BatchNorm statistics, without which a sub-network answers at chance level."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from aebnas_bo.supernet.subnet import Subnet


@torch.no_grad()
def calibrate_batchnorm(subnet: Subnet, images: Tensor, batch_size: int) -> None:
    """Replace all running statistics by averages over the given images and leave the network in evaluation mode.

    Images are taken in batches of equal size, so that every image weighs the same.

    Args:
        subnet: The network, changed in place.
        images: `N x C x H x W`, normalised; at least 2.
        batch_size: Most images per batch.
    """
    norms = [module for module in subnet.modules() if isinstance(module, nn.BatchNorm2d)]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # cumulative average
    subnet.train()
    num_batches = -(-len(images) // batch_size)
    for batch in images.tensor_split(num_batches):
        subnet(batch)
    for norm in norms:
        norm.momentum = 0.1  # torch's default, for whoever trains the network further
    subnet.eval()
