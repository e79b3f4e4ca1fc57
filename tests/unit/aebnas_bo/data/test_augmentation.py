from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F

from aebnas_bo.data.augmentation import Augmentation
from aebnas_bo.data.settings import AugmentationConfig
from aebnas_bo.data.transforms import normalize


def images(count: int = 40, channels: int = 3) -> torch.Tensor:
    return torch.randint(256, (count, channels, 8, 8), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)


def apply(seed: int = 0, channels: int = 3, **settings) -> tuple[torch.Tensor, torch.Tensor]:
    augmentation = Augmentation(AugmentationConfig(**settings), (0.5,) * channels, (0.25,) * channels, 4)
    return augmentation(images(channels=channels), torch.arange(40) % 4, torch.Generator().manual_seed(seed))


def test_without_transforms_images_are_only_normalised() -> None:
    result, labels = apply()
    assert torch.equal(result, normalize(images(), (0.5,) * 3, (0.25,) * 3))
    assert torch.equal(labels, torch.arange(40) % 4)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(
    "settings",
    [
        *({"trivial_augment": True}, {"mixup_alpha": 0.4}, {"cutmix_alpha": 1.0}),
        {"crop_padding": 1, "horizontal_flip": True},
        {"trivial_augment": True, "mixup_alpha": 0.4, "cutmix_alpha": 1.0, "crop_padding": 1},
    ],
    ids=str,
)  # fmt: skip
def test_transforms_change_images_and_nothing_but_the_generator_decides(channels: int, settings: dict) -> None:
    plain, _ = apply(channels=channels)
    state = torch.get_rng_state()
    first, targets = apply(channels=channels, **settings)
    assert torch.equal(torch.get_rng_state(), state)
    torch.manual_seed(torch.seed() % 2**31)  # whatever the global generator holds
    again, same = apply(channels=channels, **settings)
    other, _ = apply(seed=1, channels=channels, **settings)
    assert torch.equal(first, again)
    assert torch.equal(targets, same)
    assert not torch.equal(first, other)
    assert not torch.equal(first, plain)
    assert first.shape == plain.shape
    assert first.is_contiguous(memory_format=torch.channels_last)


def test_images_of_one_group_share_a_transform_and_groups_do_not() -> None:
    same = torch.zeros(32, 3, 8, 8, dtype=torch.uint8) + torch.arange(8, dtype=torch.uint8) * 30
    augmentation = Augmentation(AugmentationConfig(trivial_augment=True), (0.5,) * 3, (0.25,) * 3, 4)
    result, _ = augmentation(same, torch.zeros(32, dtype=torch.long), torch.Generator().manual_seed(3))
    assert torch.equal(result[0], result[15])
    assert not torch.equal(result[0], result[16])


def test_trivial_augment_leaves_something_of_small_images() -> None:
    augmentation = Augmentation(AugmentationConfig(trivial_augment=True), (0.5,) * 3, (0.25,) * 3, 4)
    generator = torch.Generator().manual_seed(0)
    many = torch.randint(256, (3200, 3, 8, 8), generator=generator, dtype=torch.uint8)
    result, _ = augmentation(many, torch.zeros(3200, dtype=torch.long), generator)
    flat = (result.amax(dim=(2, 3)) == result.amin(dim=(2, 3))).all(dim=1).double().mean()
    assert flat < 0.04  # torchvision's own: 0.1


def test_mixed_images_have_mixed_targets() -> None:
    _, targets = apply(mixup_alpha=0.4)
    assert targets.shape == (40, 4)
    torch.testing.assert_close(targets.sum(dim=1), torch.ones(40))
    assert ((targets > 0).sum(dim=1) == 2).any()


def test_resized_images_are_shifted_in_proportion() -> None:
    images = torch.randint(0, 256, (5, 3, 16, 16), dtype=torch.uint8)
    wide = Augmentation(AugmentationConfig(crop_padding=4), (0.5,) * 3, (0.5,) * 3, 2)
    small, augment = wide.resized(images, 8)
    assert small.shape == (5, 3, 8, 8)
    assert small.dtype == torch.uint8
    assert augment == replace(wide, config=AugmentationConfig(crop_padding=2))
    expected = F.interpolate(images.float(), size=(8, 8), mode="bilinear", antialias=True)
    assert float((small - expected).abs().max()) <= 1.0
    assert replace(wide, config=AugmentationConfig(crop_padding=1)).resized(images, 4)[1].config.crop_padding == 1
