"""Re-estimated statistics are those of the images given."""

from __future__ import annotations

import pytest
import torch

from aebnas_bo.errors import DataError
from aebnas_bo.space.architecture import Architecture, Block, ExitBranch, Skeleton, Stage
from aebnas_bo.supernet.batchnorm import calibrate_batchnorm
from aebnas_bo.supernet.subnet import Subnet

SKELETON = Skeleton(1, 3, 4, 1, (2, 2), (0,), 1, 0, "relu")
ARCHITECTURE = Architecture(4, (Stage(4, (Block(3, 1),)), Stage(4, (Block(3, 1),))), (ExitBranch(()),))  # to 1x1


@pytest.fixture
def subnet() -> Subnet:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return Subnet(ARCHITECTURE, SKELETON)


def _images(num_images: int) -> torch.Tensor:
    return 3 + 2 * torch.randn(num_images, 1, 4, 4, generator=torch.Generator().manual_seed(0))


def _statistics(subnet: Subnet) -> list[torch.Tensor]:
    return [buffer.clone() for buffer in subnet.buffers() if buffer.is_floating_point()]


@pytest.mark.parametrize("batch_size", [1, 2, 4, 5, 7, 64])
def test_mean_of_the_stem_is_that_of_all_images(subnet: Subnet, batch_size: int) -> None:
    images = _images(13)
    calibrate_batchnorm(subnet, images, batch_size)
    with torch.no_grad():
        expected = subnet.stem.convolution(images).mean((0, 2, 3))
    torch.testing.assert_close(subnet.stem.norm.running_mean, expected, atol=1e-5, rtol=1e-5)


def test_batches_hold_images_from_everywhere(subnet: Subnet) -> None:
    images = _images(12)
    images[6:] += 50.0  # as of another class
    calibrate_batchnorm(subnet, images, 4)
    with torch.no_grad():
        features = subnet.stem.convolution(images)
    within = torch.stack([features[first::3].var((0, 2, 3)) for first in range(3)]).mean(dim=0)
    torch.testing.assert_close(subnet.stem.norm.running_var, within)


def test_statistics_of_one_batch_are_those_batchnorm_computes(subnet: Subnet) -> None:
    images = _images(16)
    calibrate_batchnorm(subnet, images, 16)
    evaluated = subnet(images)
    trained = subnet.train()(images)
    for logits, reference in zip(evaluated, trained, strict=True):
        torch.testing.assert_close(logits, reference, atol=0.1, rtol=0.1)  # unbiased against biased variance
    with torch.no_grad():
        variance = subnet.stem.convolution(images).var((0, 2, 3))
    subnet.eval()
    calibrate_batchnorm(subnet, images, 16)
    torch.testing.assert_close(subnet.stem.norm.running_var, variance)


@pytest.mark.parametrize(("num_images", "batch_size"), [(3, 2), (2, 1), (5, 4), (9, 8), (7, 1)])
def test_no_image_is_left_alone_at_one_pixel(subnet: Subnet, num_images: int, batch_size: int) -> None:
    calibrate_batchnorm(subnet, _images(num_images), batch_size)
    assert all(torch.isfinite(statistic).all() for statistic in _statistics(subnet))


def test_earlier_statistics_are_forgotten_and_evaluation_mode_is_on(subnet: Subnet) -> None:
    calibrate_batchnorm(subnet, _images(16), 8)
    first = _statistics(subnet)
    calibrate_batchnorm(subnet, 100 * _images(10), 8)
    calibrate_batchnorm(subnet, _images(16), 8)
    assert not any(module.training for module in subnet.modules())
    assert all(torch.equal(a, b) for a, b in zip(first, _statistics(subnet), strict=True))
    assert {conv_norm.norm.momentum for conv_norm in subnet.conv_norms()} == {0.1}


def test_too_few_images_are_an_error(subnet: Subnet) -> None:
    with pytest.raises(DataError, match="at least 2 calibration images, got 1"):
        calibrate_batchnorm(subnet, _images(1), 8)
