"""Transforms of whole batches, without a Python loop over images."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from aebnas_bo.errors import DataError


def on_device(tensor: Tensor, device: torch.device) -> Tensor:
    """Return a tensor on a device; copies from the CPU to a GPU do not wait for the work that is queued there.

    Args:
        tensor: Small tensor, such as the random numbers of a step.
        device: The device.
    """
    if device.type == "cuda" and tensor.device.type == "cpu":
        return tensor.pin_memory().to(device, non_blocking=True)
    return tensor.to(device)


def normalize(
    images: Tensor, mean: Sequence[float], std: Sequence[float], *, device: torch.device | str = "cpu"
) -> Tensor:
    """Convert bytes to floats with zero mean and unit standard deviation.

    Args:
        images: `N x C x H x W`, uint8.
        mean: Mean of each channel in [0, 1].
        std: Standard deviation of each channel.
        device: Device of the result.

    Returns:
        `N x C x H x W`, float32, channels_last.

    Raises:
        DataError: If the numbers of means, standard deviations and channels differ.
    """
    if not len(mean) == len(std) == images.shape[1]:
        raise DataError(
            f"expected one mean and one std for each of {images.shape[1]} channels, got {len(mean)} and {len(std)}"
        )
    factors = [(1.0 / (255.0 * one), -center / one) for center, one in zip(mean, std, strict=True)]
    scale, shift = on_device(torch.tensor(factors).T, torch.device(device))
    pixels = images.to(device).permute(0, 2, 3, 1).float()  # channels last in memory, so that no copy is needed
    return pixels.mul_(scale).add_(shift).permute(0, 3, 1, 2).contiguous(memory_format=torch.channels_last)


def shift_and_flip(images: Tensor, *, crop_padding: int, horizontal_flip: bool, generator: torch.Generator) -> Tensor:
    """Shift and flip each image at random, independently of the others.

    Args:
        images: `B x C x H x W`, normalised; shifts fill with zero, the mean of the training images.
        crop_padding: Largest shift in pixels; 0 for none.
        horizontal_flip: Whether to flip each image with probability one half.
        generator: Source of randomness (CPU).

    Returns:
        `B x C x H x W`, channels_last.
    """
    count, _, height, width = images.shape
    device = images.device
    rows = torch.arange(height, device=device).expand(count, height)
    columns = torch.arange(width, device=device).expand(count, width)
    if horizontal_flip:
        mirrored = on_device(torch.rand(count, 1, generator=generator) < 0.5, device)
        columns = torch.where(mirrored, width - 1 - columns, columns)
    if crop_padding:
        shifts = on_device(torch.randint(2 * crop_padding + 1, (2, count, 1), generator=generator), device)
        rows, columns = rows + shifts[0], columns + shifts[1]
    elif not horizontal_flip:
        return images
    # Whole pixels of the channels_last layout are copied by their number in the padded images: one pass over memory.
    pixels = F.pad(images.permute(0, 2, 3, 1), (0, 0, *(crop_padding,) * 4))
    first = pixels.shape[1] * torch.arange(count, device=device).view(-1, 1, 1)
    numbers = (first + rows.unsqueeze(2)) * pixels.shape[2] + columns.unsqueeze(1)
    gathered = pixels.reshape(-1, pixels.shape[3]).index_select(0, numbers.flatten())
    return gathered.view(count, height, width, -1).permute(0, 3, 1, 2)
