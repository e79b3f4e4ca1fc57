import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from aebnas_bo.backbones.exit_points import find_points
from aebnas_bo.backbones.factories import BackboneInput
from aebnas_bo.backbones.pieces import cut_at
from aebnas_bo.backbones.tracing import TracedBackbone, trace
from aebnas_bo.errors import ConfigError
from aebnas_bo.space.given_backbone import BackbonePoint
from tests import given_networks

pytestmark = pytest.mark.slow  # the first trace of a process takes seconds

INPUT = BackboneInput(channels=3, classes=3, side=8)


def traced(backbone: nn.Module) -> TracedBackbone:
    return trace(backbone, INPUT)


def test_points_lie_between_blocks_with_hand_counted_macs() -> None:
    points, macs = find_points(traced(given_networks.TinyResNet()), INPUT)
    stem, first = 64 * 4 * 27, 64 * 4 * 36
    second = 16 * 6 * 36 + 16 * 6 * 4
    third = 4 * 8 * 54 + 4 * 8 * 6
    assert points == (
        BackbonePoint("blocks.0", "map", (4, 8, 8), stem + first),
        BackbonePoint("blocks.1", "map", (6, 4, 4), stem + first + second),
    )  # behind the third block only the classifier is left
    assert macs == stem + first + second + third + 8 * 3


def test_tokens_have_a_class_token_where_the_others_fill_a_square() -> None:
    points, _ = find_points(traced(given_networks.TinyViT()), INPUT)
    assert [(one.name, one.layout, one.shape) for one in points] == [
        ("layers.0", "tokens", (5, 8)),
        ("layers.1", "tokens", (5, 8)),
    ]
    assert points[0].poolings == ("mean", "class_token", "attention")
    assert BackbonePoint("a", "tokens", (16, 8), 1).poolings == ("mean", "attention")


def test_macs_of_attention_are_counted() -> None:
    # query, key, value and output: 4 x 5 x 8 x 8; 2 heads: 2 x (5 x 5 x 4) twice; MLP: 2 x 5 x 8 x 16
    [first, second] = find_points(traced(given_networks.TinyViT()), INPUT)[0]
    assert second.macs - first.macs == 4 * 5 * 8 * 8 + 2 * 2 * 5 * 5 * 4 + 2 * 5 * 8 * 16


def test_layers_are_points_in_a_network_without_blocks() -> None:
    points, _ = find_points(traced(given_networks.Plain()), INPUT)
    assert [(one.name, one.shape) for one in points] == [("2", (4, 4, 4)), ("5", (8, 2, 2))]  # the max-pools


def test_parts_of_a_block_are_no_points() -> None:
    points, _ = find_points(traced(given_networks.Bottlenecks()), INPUT)
    assert [one.name for one in points] == ["stages.0.0", "stages.0", "stages.1.0"]


def test_blocks_may_share_a_value_that_no_pixel_changes() -> None:
    points, _ = find_points(traced(given_networks.Masked()), INPUT)
    assert [one.name for one in points] == ["blocks.0", "blocks.1"]


def test_a_network_without_points_is_an_error() -> None:
    with pytest.raises(ConfigError, match="no point at which one tensor carries everything on"):
        find_points(traced(given_networks.Dense()), INPUT)


@pytest.mark.parametrize(
    "make",
    [
        given_networks.TinyResNet,
        given_networks.TinyViT,
        given_networks.Plain,
        given_networks.PreActivation,
        given_networks.Bottlenecks,
        given_networks.Masked,
    ],
)
def test_pieces_run_one_after_another_compute_the_same_at_the_same_macs(make: type[nn.Module]) -> None:
    torch.manual_seed(1)
    backbone = make().eval()
    graph = traced(backbone)
    points, macs = find_points(graph, INPUT)
    pieces = cut_at(graph, [point.name for point in points])
    images = torch.randn(3, 3, 8, 8)
    features, reached = images, []
    with torch.no_grad():
        for piece in pieces:
            before = features.clone()
            with FlopCounterMode(display=False) as counter:
                after = piece(features)
            assert features.equal(before)  # a branch reads them too
            features = after
            reached.append(counter.get_total_flops() // 2 // 3 + (reached[-1] if reached else 0))
        torch.testing.assert_close(features, backbone(images), rtol=0.0, atol=1e-6)
    assert reached == [*(point.macs for point in points), macs]


def test_pieces_hold_the_weights_of_the_backbone() -> None:
    backbone = given_networks.TinyResNet()
    pieces = cut_at(traced(backbone), ["blocks.0"])
    assert set(pieces[0].state_dict()) == {
        name for name in backbone.state_dict() if name.startswith(("stem", "blocks.0")) and "num_batches" not in name
    }


def test_a_point_that_is_gone_is_an_error() -> None:
    with pytest.raises(ConfigError, match=r"no point blocks\.7 any more"):
        cut_at(traced(given_networks.TinyResNet()), ["blocks.7"])
