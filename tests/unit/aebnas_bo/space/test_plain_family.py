"""The plain network: MACs worked out by hand, and the width for given MACs."""

from functools import partial

import pytest
import torch

from aebnas_bo.space.macs import exit_costs
from aebnas_bo.space.plain_family import (
    DEPTHS,
    plain_depths,
    plain_name,
    plain_network,
    plain_network_of,
    plain_stages,
    stem_stride,
)
from aebnas_bo.supernet.subnet import Subnet

network = partial(plain_network, in_channels=3, num_classes=10)
network_of = partial(plain_network_of, image_size=16, in_channels=3, num_classes=10)


def test_plain_network_costs_the_macs_of_the_formula() -> None:
    # w = 2 at 16x16: stem of 2; blocks of 4, 4 at 8x8, of 8, 8 at 4x4 and of 16 at 2x2
    stem = 256 * 27 * 2
    first = 64 * (2 * 9 + 2 * 4) + 64 * (4 * 9 + 4 * 4)
    second = 16 * (4 * 9 + 4 * 8) + 16 * (8 * 9 + 8 * 8)
    third = 4 * (8 * 9 + 8 * 16)
    costs = exit_costs(*network(2, image_size=16))
    assert (costs.stem, costs.stages, costs.head) == (stem, (first, second, third), 160)


def test_plain_network_halves_large_images_in_the_stem() -> None:
    small, large = (exit_costs(*network(4, image_size=size)) for size in (40, 80))
    assert small == large
    assert [stem_stride(size) for size in (40, 41)] == [1, 2]


def test_plain_network_has_one_exit_at_half_depth() -> None:
    whole = exit_costs(*network(2, image_size=16))
    costs = exit_costs(*network(2, image_size=16, has_exit=True))
    branch = 16 * (4 * 9 + 4 * 8) + 8 * 10  # 4 channels at 8x8 to 8 at 4x4, then ten classes
    reached = whole.stem + whole.stages[0]
    assert costs.cumulative == (reached + branch, whole.cumulative[-1] + branch)


def test_plain_network_classifies_images() -> None:
    architecture, skeleton = network(3, image_size=16, has_exit=True)
    with torch.no_grad():
        outputs = Subnet(architecture, skeleton).eval()(torch.zeros(2, 3, 16, 16))
    assert [tuple(logits.shape) for logits in outputs] == [(2, 10), (2, 10)]


@pytest.mark.parametrize("width", [1, 2, 9, 40])
def test_plain_network_of_finds_the_width_of_its_own_macs(width: int) -> None:
    expected = network(width, image_size=16)
    assert network_of(exit_costs(*expected).cumulative[-1]) == expected


def test_plain_network_of_takes_the_nearest_width() -> None:
    five, six = (exit_costs(*network(width, image_size=16)).cumulative[-1] for width in (5, 6))
    middle = (five * six) ** 0.5  # MACs are compared by their ratio
    assert network_of(middle - 1) == network(5, image_size=16)
    assert network_of(middle + 1) == network(6, image_size=16)
    assert network_of(1.0) == network(1, image_size=16)


def test_plain_stages_have_two_blocks_and_one_in_the_last() -> None:
    assert [(stage.width, len(stage.blocks)) for stage in plain_stages([8, 16, 32])] == [(8, 2), (16, 2), (32, 1)]
    assert {block.kind for stage in plain_stages([8, 16]) for block in stage.blocks} == {"depthwise_separable"}


def test_a_fourth_stage_has_one_block() -> None:
    assert [plain_depths(number, is_deep=False) for number in (1, 2, 3, 4, 5)] == [
        (1,), (2, 1), (2, 2, 1), (2, 2, 1, 1), (2, 2, 2, 1, 1)
    ]  # fmt: skip
    assert [plain_depths(number, is_deep=True) for number in (2, 3, 4, 5)] == [
        (2, 2), (2, 3, 2), (2, 3, 2, 1), (2, 3, 3, 2, 1)
    ]  # fmt: skip


def test_plain_network_of_other_depths() -> None:
    deep, skeleton = network_of(5e6, depths=(2, 3, 2, 1))
    assert [len(stage.blocks) for stage in deep.stages] == [2, 3, 2, 1]
    assert skeleton.stage_strides == (2, 2, 2, 2)
    assert exit_costs(deep, skeleton).cumulative[-1] == pytest.approx(5e6, rel=0.02)


def test_plain_names_tell_a_teacher_from_the_plain_family() -> None:
    plain, teacher = (network_of(1e6, depths=depths)[0] for depths in (DEPTHS, (2, 3, 2, 1)))
    assert plain_name(plain) == f"plain network of width {plain.stages[0].width // 2}"
    width = teacher.stages[0].width // 2
    assert plain_name(teacher) == f"plain network of width {width} with 2+3+2+1 blocks at {teacher.resolution} pixels"
