import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from aebnas_bo.backbones.small_vit import SmallViT


def test_logits_have_the_classes_for_any_number_of_images() -> None:
    network = SmallViT(7, 1, 8, features=32, num_layers=2).eval()
    images = torch.randn(3, 1, 8, 8)
    logits = network(images)
    assert logits.shape == (3, 7)
    torch.testing.assert_close(logits[1:2], network(images[1:2]))


def test_macs_are_those_counted_by_hand() -> None:
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        SmallViT(7, 1, 8, features=32, num_layers=1)(torch.zeros(1, 1, 8, 8))
    tokens = 1 + 2 * 2
    stem = 16 * 16 * 9 + 4 * 32 * 16 * 9
    layer = tokens * 32 * (3 * 32 + 32 + 2 * 64) + 2 * tokens * tokens * 32
    assert counter.get_total_flops() == 2 * (stem + layer + 32 * 7)


@pytest.mark.parametrize(("image_size", "features"), [(30, 32), (32, 40)])
def test_sizes_that_do_not_fit_are_an_error(image_size: int, features: int) -> None:
    with pytest.raises(ValueError, match="must be a multiple of 4"):
        SmallViT(10, image_size=image_size, features=features)
