import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from aebnas_bo.space.plan import ReaderPlan
from aebnas_bo.supernet.point_reader import PointReader, as_maps

TOKENS = torch.arange(24.0).view(1, 4, 6)


def tokens(pooling: str) -> ReaderPlan:
    return ReaderPlan("tokens", (4, 6), pooling)


def test_maps_have_channels_first() -> None:
    maps = torch.randn(2, 3, 4, 4)
    assert as_maps(maps, ReaderPlan("map", (3, 4, 4), None), None) is maps
    assert as_maps(maps.permute(0, 2, 3, 1), ReaderPlan("map_last", (4, 4, 3), None), None).equal(maps)


def test_tokens_are_pooled_to_one_pixel() -> None:
    assert as_maps(TOKENS, tokens("class_token"), None).flatten().tolist() == [0, 1, 2, 3, 4, 5]
    assert as_maps(TOKENS, tokens("mean"), None).shape == (1, 6, 1, 1)
    assert as_maps(TOKENS, tokens("mean"), None).flatten().tolist() == [9, 10, 11, 12, 13, 14]


def test_attention_weighs_the_tokens_by_their_product_with_the_query() -> None:
    none, one = torch.zeros(6, 1), torch.zeros(6, 1)
    assert as_maps(TOKENS, tokens("attention"), none).flatten().tolist() == [9, 10, 11, 12, 13, 14]
    one[0] = 100.0  # the last token has the largest first feature
    assert as_maps(TOKENS, tokens("attention"), one).flatten().tolist() == [18, 19, 20, 21, 22, 23]


@pytest.mark.parametrize("plan", [tokens("attention"), tokens("mean"), ReaderPlan("map", (4, 6, 6), None)])
def test_macs_are_those_that_are_executed(plan: ReaderPlan) -> None:
    reader = PointReader(plan).eval()
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        reader(torch.zeros(1, *plan.shape))
    assert counter.get_total_flops() == 2 * plan.macs


def test_every_channel_is_normalised() -> None:
    maps = PointReader(ReaderPlan("map", (3, 4, 4), None))(torch.randn(8, 3, 4, 4) * 1000.0 + 5000.0)
    torch.testing.assert_close(maps.mean(dim=(0, 2, 3)), torch.zeros(3), atol=1e-4, rtol=0.0)
    torch.testing.assert_close(maps.std(dim=(0, 2, 3), correction=0), torch.ones(3), atol=1e-3, rtol=0.0)
