"""One network on calibration and validation images: statistics first, then confidences and right answers."""

from __future__ import annotations

import torch
from torch import Tensor

from aebnas_bo.config import EstimationConfig
from aebnas_bo.early_exit.confidence import confidence
from aebnas_bo.early_exit.policy import ExitTable
from aebnas_bo.errors import EstimationError
from aebnas_bo.supernet.subnet import Subnet


@torch.no_grad()
def measure(
    subnet: Subnet, images: Tensor, labels: Tensor, macs: tuple[int, ...], key: str, config: EstimationConfig
) -> ExitTable:
    """Run a network in evaluation mode over images.

    Args:
        subnet: The network.
        images: `B x C x H x W`, normalised.
        labels: Their classes, `B`.
        macs: Cost of leaving at each of its `E` outputs.
        key: The architecture's key, for messages.
        config: Confidence measure and batch size.

    Raises:
        EstimationError: If the network's outputs are not finite.
    """
    confidences, hits, size = [], [], config.batch_size
    for batch, wanted in zip(torch.split(images, size), torch.split(labels, size), strict=True):
        outputs = torch.stack(subnet(batch))
        confidences.append(confidence(outputs, config.confidence))
        hits.append(outputs.argmax(dim=-1) == wanted)
    confidence_table = torch.cat(confidences, dim=1).cpu()
    if not torch.isfinite(confidence_table).all():
        raise EstimationError(f"network {key} has non-finite outputs")
    return ExitTable(confidence_table, torch.cat(hits, dim=1).cpu(), macs)
