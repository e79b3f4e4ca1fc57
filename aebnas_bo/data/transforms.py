"""Transforms of whole batches, without a Python loop over images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

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


@dataclass(frozen=True)
class Views:
    """How each image of a batch is shifted and flipped.

    Args:
        crop_padding: Largest shift in pixels, `p`.
        flipped: Whether each image is flipped horizontally, `B`; `None` if none is.
        shifts: First row and column of each image in its padded image, `2 x B`, from 0 to 2p; `None` without shifts.
    """

    crop_padding: int
    flipped: Tensor | None
    shifts: Tensor | None

    @classmethod
    def drawn(cls, count: int, *, crop_padding: int, horizontal_flip: bool, generator: torch.Generator) -> Views:
        """Draw the view of each image independently of the others.

        Args:
            count: Number of images, `B`.
            crop_padding: Largest shift in pixels; 0 for none.
            horizontal_flip: Whether to flip each image with probability one half.
            generator: Source of randomness (CPU).
        """
        flipped = torch.rand(count, generator=generator) < 0.5 if horizontal_flip else None
        shifts = torch.randint(2 * crop_padding + 1, (2, count), generator=generator) if crop_padding else None
        return cls(crop_padding, flipped, shifts)

    @classmethod
    def of_all(cls, count: int, *, crop_padding: int, is_flipped: bool, row: int, column: int) -> Views:
        """Return one view for all images.

        Args:
            count: Number of images, `B`.
            crop_padding: Largest shift in pixels, `p`.
            is_flipped: Whether to flip the images.
            row: First row in the padded images, from 0 to 2p.
            column: First column.
        """
        shifts = torch.tensor([[row], [column]]).expand(2, count)
        return cls(crop_padding, torch.full((count,), is_flipped), shifts)


def shift_and_flip(images: Tensor, views: Views) -> Tensor:
    """Shift and flip each image.

    Args:
        images: `B x C x H x W`, normalised; shifts fill with zero, the mean of the training images.
        views: Shifts and flips of the `B` images.

    Returns:
        `B x C x H x W`, channels_last.
    """
    if views.flipped is None and views.shifts is None:
        return images
    count, _, height, width = images.shape
    device = images.device
    rows = torch.arange(height, device=device).expand(count, height)
    columns = torch.arange(width, device=device).expand(count, width)
    if views.flipped is not None:
        columns = torch.where(on_device(views.flipped[:, None], device), width - 1 - columns, columns)
    if views.shifts is not None:
        shifts = on_device(views.shifts[..., None], device)
        rows, columns = rows + shifts[0], columns + shifts[1]
    # Whole pixels of the channels_last layout are copied by their number in the padded images: one pass over memory.
    pixels = F.pad(images.permute(0, 2, 3, 1), (0, 0, *(views.crop_padding,) * 4))
    first = pixels.shape[1] * torch.arange(count, device=device).view(-1, 1, 1)
    numbers = (first + rows.unsqueeze(2)) * pixels.shape[2] + columns.unsqueeze(1)
    gathered = pixels.reshape(-1, pixels.shape[3]).index_select(0, numbers.flatten())
    return gathered.view(count, height, width, -1).permute(0, 3, 1, 2)


def rotate_and_zoom(images: Tensor, degrees: Tensor, factors: Tensor) -> Tensor:
    """Rotate each image about its centre and change its size, with bilinear interpolation.

    Args:
        images: `B x C x H x H`, normalised; the parts outside an image become zero, the mean of the training images.
        degrees: Angle of each image, counter-clockwise, `B`.
        factors: Factor of the size of each image, `B`.

    Returns:
        `B x C x H x H`, channels_last.
    """
    angles = torch.deg2rad(degrees)
    cosines, sines, none = angles.cos() / factors, angles.sin() / factors, torch.zeros_like(angles)
    places = torch.stack([cosines, -sines, none, sines, cosines, none], dim=1).view(-1, 2, 3)
    grid = F.affine_grid(on_device(places, images.device), list(images.shape), align_corners=False)
    moved = F.grid_sample(images, grid, mode="bilinear", padding_mode="zeros", align_corners=False)
    return moved.contiguous(memory_format=torch.channels_last)


def change_brightness_and_contrast(
    images: Tensor, brightness: Tensor, contrast: Tensor, *, black: Sequence[float]
) -> Tensor:
    """Multiply the pixels of each image by its brightness, and their distances to the image's mean by its contrast.

    Args:
        images: `B x C x H x W`, normalised.
        brightness: Factor of each image, `B`.
        contrast: Factor of each image, `B`.
        black: Normalised value of black in each channel.

    Returns:
        `B x C x H x W`; values may lie beyond those of black and white.
    """
    device = images.device
    zero = on_device(torch.tensor(black), device).view(1, -1, 1, 1)
    bright, strong = (on_device(factors, device).view(-1, 1, 1, 1) for factors in (brightness, contrast))
    shift = zero * (1.0 - bright)  # a pixel becomes `shift + bright * pixel`, in one pass together with the contrast
    centres = shift.mean(dim=1, keepdim=True) + bright * images.mean(dim=(1, 2, 3), keepdim=True)
    return torch.addcmul(strong * shift + (1.0 - strong) * centres, strong * bright, images)
