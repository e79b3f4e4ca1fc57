import pytest
import torch
import torch.nn.functional as F

from aebnas_bo.config.loading import load_config
from aebnas_bo.space.network_space import NetworkSpace
from aebnas_bo.space.presets import PRESETS
from aebnas_bo.space.remarks import remarks


def remarks_of(*settings: str) -> list[str]:
    return remarks(NetworkSpace(load_config(None, settings).space, 3, 10))


@pytest.mark.parametrize("preset", [name for name in PRESETS if name != "aebnas"])
def test_there_is_nothing_to_say_of_our_presets(preset: str) -> None:
    assert remarks_of(f"space={preset}") == []


def test_the_last_stage_of_aebnas_is_small_at_its_lowest_resolution() -> None:
    [remark] = remarks_of("space=aebnas")
    assert remark.startswith("stages.4: at resolution 32 its blocks after the first read a single pixel")


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        (["space.stages.2.kernels=[7, 9]"], "stages.2.kernels: 7 and 9 compute the same on maps of 4x4 pixels or less"),
        (["space.stages.0.kinds=[dense]"], "stages.0.expansions: without effect, for dense does not expand; give [1]"),
        (
            ["space.stages.0.kinds=[dense]", "space.stages.0.expansions=[1]", "space.squeeze_excitation=[1]"],
            "squeeze_excitation: 1 is without effect, for stages.0 is of dense, which has no depthwise convolution; "
            "leave 1 out",
        ),
        (["space.exits.0.depths=[0]", "space.exits.0.layers=[]"], "exits.0.depths: 0 alone is no exit"),
        (["space.exits=[]"], "exits: no network has an early exit"),
        (
            ["space.exits.1.depths=[0, 2]", "space.exits.1.layers=[{kernels: [11], expansions: [40]}]"],
            "exits.1: in every network its cheapest branch costs at least as many MACs",
        ),
        (
            ["space.stages.1.stride=1", "space.stem_stride=2", "space.stages.0.stride=2", "space.resolutions=[4, 8]",
             "space.exits=[]"],
            "stages.1: at resolution 4 its blocks read a single pixel, where a kernel of 3 sees only padding around it",
        ),
    ],
)  # fmt: skip
def test_what_has_no_use_is_named_with_its_field(settings: list[str], expected: str) -> None:
    assert any(remark.startswith(expected) for remark in remarks_of(*settings)), remarks_of(*settings)


def test_a_stage_of_one_block_that_halves_its_maps_to_a_pixel_is_in_order() -> None:
    settings = ["space.resolutions=[4, 8]", "space.exits=[{after_stage: 1, depths: [0, 1]}]"]
    assert any(remark.startswith("stages.2: at resolution 4") for remark in remarks_of(*settings))
    assert remarks_of(*settings, "space.stages.2.depths=[1]", "space.stages.1.kernels=[3]") == []


@pytest.mark.parametrize("stride", [1, 2])
def test_kernels_that_reach_past_small_maps_compute_the_same(stride: int) -> None:
    features, weight = torch.randn(2, 3, 4, 4), torch.randn(3, 1, 9, 9)
    wide = F.conv2d(features, weight, stride=stride, padding=4, groups=3)
    narrow = F.conv2d(features, weight[..., 1:8, 1:8], stride=stride, padding=3, groups=3)  # 7 = 2 x 4 - 1
    torch.testing.assert_close(wide, narrow)
    smaller = F.conv2d(features, weight[..., 2:7, 2:7], stride=stride, padding=2, groups=3)
    assert not torch.allclose(wide, smaller)
