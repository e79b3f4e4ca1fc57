import pytest
import torch
import torch.nn.functional as F

from aebnas_bo.data.transforms import (
    Views,
    change_brightness_and_contrast,
    normalize,
    rotate_and_zoom,
    shift_and_flip,
)
from aebnas_bo.errors import DataError


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def numbered(count: int, channels: int = 2, height: int = 4, width: int = 5) -> torch.Tensor:
    """Images without a zero in which all pixels differ."""
    return torch.arange(1.0, 1.0 + count * channels * height * width).view(count, channels, height, width)


def at_random(
    images: torch.Tensor, *, crop_padding: int, horizontal_flip: bool, generator: torch.Generator
) -> torch.Tensor:
    """Shift and flip each image at random."""
    views = Views.drawn(len(images), crop_padding=crop_padding, horizontal_flip=horizontal_flip, generator=generator)
    return shift_and_flip(images, views)


def test_normalize_by_hand() -> None:
    images = torch.tensor([[[[0, 255]], [[51, 102]]]], dtype=torch.uint8)  # 1 x 2 x 1 x 2
    result = normalize(images, (0.5, 0.2), (0.5, 0.1))
    assert result.dtype == torch.float32
    torch.testing.assert_close(result.flatten(), torch.tensor([-1.0, 1.0, 0.0, 2.0]), atol=1e-6, rtol=0)


def test_normalize_returns_channels_last_and_leaves_its_input() -> None:
    images = torch.full((2, 3, 4, 4), 7, dtype=torch.uint8)
    result = normalize(images, (0.0,) * 3, (1.0,) * 3)
    assert result.is_contiguous(memory_format=torch.channels_last)
    assert (images == 7).all()


def test_normalize_refuses_statistics_of_other_channels() -> None:
    with pytest.raises(DataError, match="each of 1 channels, got 3 and 3"):
        normalize(torch.zeros(2, 1, 4, 4, dtype=torch.uint8), (0.5,) * 3, (0.5,) * 3)


def test_augment_without_shift_and_mirror_changes_nothing() -> None:
    assert torch.equal(
        at_random(numbered(3), crop_padding=0, horizontal_flip=False, generator=generator()), numbered(3)
    )


def test_augment_mirrors_about_half_of_the_images_and_nothing_else() -> None:
    images = numbered(400)
    result = at_random(images, crop_padding=0, horizontal_flip=True, generator=generator())
    same = (result == images).flatten(1).all(dim=1)
    mirrored = (result == images.flip(3)).flatten(1).all(dim=1)
    assert (same ^ mirrored).all()
    assert 150 < int(mirrored.sum()) < 250


def test_augment_shifts_each_image_by_itself_and_fills_with_zeros() -> None:
    images = numbered(300)
    result = at_random(images, crop_padding=1, horizontal_flip=False, generator=generator())
    padded = torch.nn.functional.pad(images, (1, 1, 1, 1))
    seen = set()
    for image, source in zip(result, padded, strict=True):
        found = [(y, x) for y in range(3) for x in range(3) if torch.equal(image, source[:, y : y + 4, x : x + 5])]
        assert len(found) == 1
        seen.add(found[0])
    assert len(seen) == 9  # every shift from -1 to 1 in both directions occurs
    assert (result == 0).any()


def test_augment_shifts_and_mirrors_together() -> None:
    images = numbered(60)
    result = at_random(images, crop_padding=1, horizontal_flip=True, generator=generator())
    windows = [
        torch.nn.functional.pad(source, (1, 1, 1, 1))[:, :, y : y + 4, x : x + 5]
        for source in (images, images.flip(3))
        for y in range(3)
        for x in range(3)
    ]
    matches = torch.stack([(result == window).flatten(1).all(dim=1) for window in windows])
    assert (matches.sum(dim=0) == 1).all()
    assert matches[:9].any()
    assert matches[9:].any()


def test_augment_is_determined_by_its_generator() -> None:
    images = numbered(20)
    first = at_random(images, crop_padding=2, horizontal_flip=True, generator=generator(1))
    assert torch.equal(first, at_random(images, crop_padding=2, horizontal_flip=True, generator=generator(1)))
    assert not torch.equal(first, at_random(images, crop_padding=2, horizontal_flip=True, generator=generator(2)))


def test_augment_keeps_shape_layout_and_input() -> None:
    images = numbered(3).contiguous(memory_format=torch.channels_last)
    result = at_random(images, crop_padding=2, horizontal_flip=True, generator=generator())
    assert result.shape == images.shape
    assert result.is_contiguous(memory_format=torch.channels_last)
    assert torch.equal(images, numbered(3))


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_transforms_agree_between_cpu_and_gpu() -> None:
    images = torch.arange(96, dtype=torch.uint8).view(2, 3, 4, 4)
    host = at_random(
        normalize(images, (0.5,) * 3, (0.2,) * 3), crop_padding=2, horizontal_flip=True, generator=generator()
    )
    device = at_random(
        normalize(images, (0.5,) * 3, (0.2,) * 3, device="cuda"),
        crop_padding=2,
        horizontal_flip=True,
        generator=generator(),
    )
    torch.testing.assert_close(host, device.cpu())


def test_images_are_rotated_counter_clockwise_and_zoomed_about_their_centre() -> None:
    images = torch.rand(3, 2, 8, 8, generator=torch.Generator().manual_seed(0))
    same, turned, half = rotate_and_zoom(images, torch.tensor([0.0, 90.0, 0.0]), torch.tensor([1.0, 1.0, 0.5]))
    assert torch.allclose(same, images[0], atol=1e-5)
    assert torch.allclose(turned, torch.rot90(images[1], 1, (1, 2)), atol=1e-5)
    assert torch.equal(half[:, :1], torch.zeros(2, 1, 8))  # the image fills the inner half
    assert torch.allclose(half[:, 2:6, 2:6], F.avg_pool2d(images[2], 2), atol=1e-5)
    assert rotate_and_zoom(images, torch.zeros(3), torch.ones(3)).is_contiguous(memory_format=torch.channels_last)


def test_brightness_and_contrast_multiply_pixels_and_their_distance_to_the_mean() -> None:
    pixels = torch.rand(2, 3, 4, 4, generator=torch.Generator().manual_seed(0))
    mean, std = torch.tensor([0.4, 0.5, 0.6]).view(-1, 1, 1), torch.tensor([0.2, 0.2, 0.2]).view(-1, 1, 1)
    black = (-mean / std).flatten().tolist()
    changed = change_brightness_and_contrast(
        (pixels - mean) / std, torch.tensor([0.5, 1.5]), torch.tensor([1.0, 0.0]), black=black
    )
    assert torch.allclose(changed[0] * std + mean, 0.5 * pixels[0], atol=1e-5)
    assert torch.allclose(changed[1], changed[1].mean().expand(3, 4, 4), atol=1e-5)
