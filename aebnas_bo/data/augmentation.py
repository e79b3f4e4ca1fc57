"""Augmentation of training batches: torchvision's transforms per group of images, the others per image."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import product
from typing import ClassVar

import torch
from torch import Tensor
from torchvision.transforms import v2
from torchvision.transforms.v2 import functional

from aebnas_bo.data.settings import AugmentationConfig
from aebnas_bo.data.splits import Splits
from aebnas_bo.data.transforms import (
    Views,
    change_brightness_and_contrast,
    normalize,
    on_device,
    rotate_and_zoom,
    shift_and_flip,
)

RESIZED_BATCH = 1024  # images resized at once
GROUP = 16  # images with the same random transform: torchvision draws its parameters once per call


@dataclass(frozen=True)
class Augmentation:
    """Normalises and augments a batch of training images; all randomness comes from the given generator.

    Args:
        config: Transforms to apply.
        mean: Mean of each channel in [0, 1].
        std: Standard deviation of each channel.
        num_classes: Number of classes, `K`.
    """

    config: AugmentationConfig
    mean: tuple[float, ...]
    std: tuple[float, ...]
    num_classes: int

    @classmethod
    def of(cls, config: AugmentationConfig, splits: Splits) -> Augmentation:
        """Return the augmentation of a configuration for given splits."""
        return cls(config, splits.mean, splits.std, splits.num_classes)

    def __call__(self, images: Tensor, labels: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Normalise and augment a batch.

        Args:
            images: `B x C x H x W`, uint8.
            labels: `B` classes, or `B x V x K` class probabilities of the views of `label_views`.
            generator: Source of randomness (CPU).

        Returns:
            Normalised images, `B x C x H x W`, float32, channels_last, and their targets: labels, or `B x K`
            class probabilities if these were given or images were mixed.
        """
        config = self.config
        if config.trivial_augment:
            transform = _TrivialAugment()
            with _seeded(generator):
                images = torch.cat([transform(group) for group in torch.split(images, GROUP)])
        floats = normalize(images, self.mean, self.std, device=images.device)
        views = Views.drawn(
            len(images),
            crop_padding=config.crop_padding, horizontal_flip=config.horizontal_flip, generator=generator,
        )  # fmt: skip
        floats = self._changed(shift_and_flip(floats, views), generator)
        if labels.ndim == 3:
            labels = labels_of_views(labels, views)
        mixers = [v2.MixUp(alpha=config.mixup_alpha, num_classes=self.num_classes)] if config.mixup_alpha else []
        mixers += [v2.CutMix(alpha=config.cutmix_alpha, num_classes=self.num_classes)] if config.cutmix_alpha else []
        if not mixers:
            return floats, labels
        with _seeded(generator):
            mixed, targets = v2.RandomChoice(mixers)(floats, labels)
        return mixed.contiguous(memory_format=torch.channels_last), targets

    def _changed(self, images: Tensor, generator: torch.Generator) -> Tensor:
        """Rotate, zoom and jitter each image of a normalised batch, as far as the configuration says."""
        config = self.config

        def drawn(most: float) -> Tensor:
            return most * (2.0 * torch.rand(len(images), generator=generator) - 1.0)

        if config.rotation or config.zoom:
            images = rotate_and_zoom(images, drawn(config.rotation), 1.0 + drawn(config.zoom))
        if config.color_jitter:
            black = [-center / one for center, one in zip(self.mean, self.std, strict=True)]
            brightness, contrast = 1.0 + drawn(config.color_jitter), 1.0 + drawn(config.color_jitter)
            images = change_brightness_and_contrast(images, brightness, contrast, black=black)
        return images

    def label_views(self, count: int) -> list[Views]:
        """Return the `V` views for which a teacher computes soft labels: the largest shifts, each with every flip.

        Args:
            count: Number of images.
        """
        padding = self.config.crop_padding
        flips = [False, True] if self.config.horizontal_flip else [False]
        starts = [0, 2 * padding] if padding else [0]
        return [
            Views.of_all(count, crop_padding=padding, is_flipped=is_flipped, row=row, column=column)
            for is_flipped, row, column in product(flips, starts, starts)
        ]

    def resized(self, images: Tensor, side: int) -> tuple[Tensor, Augmentation]:
        """Resize images once, for a network of a lower resolution, instead of each batch after its transforms.

        Args:
            images: `N x C x H x W`, uint8.
            side: New side in pixels, at most H.

        Returns:
            `N x C x side x side`, uint8 (bilinear, antialiased), and the augmentation with shifts scaled in proportion.
        """
        batches = torch.split(images, RESIZED_BATCH)
        small = torch.cat([functional.resize(batch, [side, side], antialias=True) for batch in batches])
        padding = self.config.crop_padding
        scaled = max(round(padding * side / images.shape[-1]), min(padding, 1))
        return small, replace(self, config=self.config.model_copy(update={"crop_padding": scaled}))


def labels_of_views(labels: Tensor, views: Views) -> Tensor:
    """Interpolate soft labels linearly, in rows and columns, between those of the largest shifts.

    Args:
        labels: `B x V x K` class probabilities of the views of `Augmentation.label_views`.
        views: Shifts and flips of the images.

    Returns:
        `B x K` class probabilities.
    """
    count, _, num_classes = labels.shape
    starts = 1 if views.shifts is None else 2
    of_flips = labels.view(count, -1, starts, starts, num_classes)
    flipped = torch.zeros(count, dtype=torch.long) if views.flipped is None else views.flipped.long()
    grid = of_flips[torch.arange(count, device=labels.device), on_device(flipped, labels.device)]
    if views.shifts is None:
        return grid[:, 0, 0]
    ends = on_device(views.shifts, labels.device) / (2 * views.crop_padding)  # 0 at the first start, 1 at the last
    rows, columns = torch.stack([1.0 - ends, ends], dim=-1)
    return torch.einsum("br,bc,brck->bk", rows, columns, grid)


class _TrivialAugment(v2.TrivialAugmentWide):
    """TrivialAugmentWide with shifts of at most the side of the image; torchvision shifts by up to 32 pixels."""

    _AUGMENTATION_SPACE: ClassVar = {
        **v2.TrivialAugmentWide._AUGMENTATION_SPACE,
        "TranslateX": (lambda num_bins, _, width: torch.linspace(0.0, min(32.0, width), num_bins), True),
        "TranslateY": (lambda num_bins, height, _: torch.linspace(0.0, min(32.0, height), num_bins), True),
    }


@contextmanager
def _seeded(generator: torch.Generator) -> Iterator[None]:
    """Seed the global generator, the only one that torchvision uses, from a given one; restore it afterwards."""
    seed = int(torch.randint(2**62, (), generator=generator))
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        yield
