"""What happens to a training batch: torchvision's transforms on groups of images, shifts and mirrors per image."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor
from torchvision.transforms import v2

from aebnas_bo.data.settings import AugmentationConfig
from aebnas_bo.data.splits import Splits
from aebnas_bo.data.transforms import normalize, shift_and_flip

GROUP = 16  # images that share one random transform of torchvision, whose parameters are drawn once per call


@dataclass(frozen=True)
class Augmentation:
    """Prepares a batch of training images; random numbers come from the generator alone.

    Args:
        config: Which transforms.
        mean: Mean of each channel in [0, 1].
        std: Standard deviation likewise.
        num_classes: Number of classes, `K`.
    """

    config: AugmentationConfig
    mean: tuple[float, ...]
    std: tuple[float, ...]
    num_classes: int

    @classmethod
    def of(cls, config: AugmentationConfig, splits: Splits) -> Augmentation:
        """Return the transforms a configuration asks for."""
        return cls(config, splits.mean, splits.std, splits.num_classes)

    def __call__(self, images: Tensor, labels: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Prepare a batch.

        Args:
            images: `B x C x H x W`, uint8.
            labels: `B` classes.
            generator: Source of randomness (CPU).

        Returns:
            Normalised images, `B x C x H x W`, float32, channels_last, and their targets: the labels, or `B x K`
            probabilities where images were mixed.
        """
        config = self.config
        if config.trivial_augment:
            transform = _TrivialAugment()
            with _seeded(generator):
                images = torch.cat([transform(group) for group in torch.split(images, GROUP)])
        floats = normalize(images, self.mean, self.std, device=images.device)
        floats = shift_and_flip(
            floats, crop_padding=config.crop_padding, horizontal_flip=config.horizontal_flip, generator=generator
        )
        mixers = [v2.MixUp(alpha=config.mixup_alpha, num_classes=self.num_classes)] if config.mixup_alpha else []
        mixers += [v2.CutMix(alpha=config.cutmix_alpha, num_classes=self.num_classes)] if config.cutmix_alpha else []
        if not mixers:
            return floats, labels
        with _seeded(generator):
            mixed, targets = v2.RandomChoice(mixers)(floats, labels)
        return mixed.contiguous(memory_format=torch.channels_last), targets


class _TrivialAugment(v2.TrivialAugmentWide):
    """TrivialAugmentWide that shifts by no more than an image's side, where torchvision takes 32 pixels of any."""

    _AUGMENTATION_SPACE: ClassVar = {
        **v2.TrivialAugmentWide._AUGMENTATION_SPACE,
        "TranslateX": (lambda num_bins, _, width: torch.linspace(0.0, min(32.0, width), num_bins), True),
        "TranslateY": (lambda num_bins, height, _: torch.linspace(0.0, min(32.0, height), num_bins), True),
    }


@contextmanager
def _seeded(generator: torch.Generator) -> Iterator[None]:
    """Lend torchvision, which knows only the global generator, a state drawn from another one."""
    seed = int(torch.randint(2**62, (), generator=generator))
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        yield
