from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F

from aebnas_bo.data.augmentation import Augmentation, labels_of_views
from aebnas_bo.data.settings import AugmentationConfig
from aebnas_bo.data.transforms import Views, normalize, shift_and_flip


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
        *({"rotation": 20.0}, {"zoom": 0.2}, {"color_jitter": 0.3}),
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


@pytest.mark.parametrize("settings", [{"rotation": 20.0}, {"zoom": 0.2}, {"color_jitter": 0.3}], ids=str)
def test_each_image_is_changed_on_its_own_and_within_the_limit(settings: dict) -> None:
    ramp = torch.linspace(100, 150, 8).byte().expand(64, 1, 8, 8).contiguous()
    augmentation = Augmentation(AugmentationConfig(**settings), (0.4,), (0.25,), 4)
    result, _ = augmentation(ramp, torch.zeros(64, dtype=torch.long), torch.Generator().manual_seed(0))
    assert len(torch.unique(result.flatten(1), dim=0)) == 64
    if "color_jitter" in settings:
        means = (result * 0.25 + 0.4).mean(dim=(1, 2, 3)) / (ramp[0].float() / 255.0).mean()
        assert means.min() >= 0.7
        assert means.max() <= 1.3
        assert means.max() - means.min() > 0.4


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


@pytest.mark.parametrize("horizontal_flip", [False, True])
@pytest.mark.parametrize("crop_padding", [0, 1])
def test_soft_labels_are_those_of_the_images_as_they_are_shifted_and_flipped(
    crop_padding: int, horizontal_flip: bool
) -> None:
    config = AugmentationConfig(crop_padding=crop_padding, horizontal_flip=horizontal_flip)
    augmentation = Augmentation(config, (0.5,) * 3, (0.25,) * 3, 2)
    floats = normalize(images(), (0.5,) * 3, (0.25,) * 3)

    def teacher(batch: torch.Tensor) -> torch.Tensor:  # the left and the right half, whose weights differ by row
        weighted = batch * torch.linspace(0.5, 1.5, 8)[:, None]
        return torch.stack([weighted[..., :4].mean(dim=(1, 2, 3)), weighted[..., 4:].mean(dim=(1, 2, 3))], dim=1)

    labels = torch.stack([teacher(shift_and_flip(floats, views)) for views in augmentation.label_views(40)], dim=1)
    augmented, targets = augmentation(images(), labels, torch.Generator().manual_seed(0))
    shifts = Views.drawn(
        40, crop_padding=crop_padding, horizontal_flip=horizontal_flip, generator=torch.Generator().manual_seed(0)
    ).shifts
    is_exact = torch.ones(40, dtype=torch.bool) if shifts is None else (shifts != crop_padding).all(dim=0)
    assert is_exact.any()
    torch.testing.assert_close(targets[is_exact], teacher(augmented)[is_exact])


def test_soft_labels_between_the_largest_shifts_are_interpolated() -> None:
    labels = torch.tensor([0.0, 1.0, 10.0, 11.0]).view(1, 4, 1).expand(4, 4, 2)  # 10 more by row, 1 more by column
    shifts = torch.tensor([[0, 4, 2, 1], [0, 4, 0, 2]])  # from 0 to twice the padding of 2
    found = labels_of_views(labels, Views(2, None, shifts))
    assert found.tolist() == [[value, value] for value in (0.0, 11.0, 5.0, 3.0)]


def test_soft_labels_of_mixed_images_are_mixed() -> None:
    augmentation = Augmentation(AugmentationConfig(mixup_alpha=0.4), (0.5,) * 3, (0.25,) * 3, 2)
    labels = torch.tensor([[[1.0, 0.0]], [[0.0, 1.0]]]).repeat(20, 1, 1)
    _, targets = augmentation(images(), labels, torch.Generator().manual_seed(0))
    assert targets.shape == (40, 2)
    assert ((targets > 0.0) & (targets < 1.0)).any()
