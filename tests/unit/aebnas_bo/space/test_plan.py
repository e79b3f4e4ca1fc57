"""Shape rules: hand-worked sizes, and agreement with what plain PyTorch modules really put out."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from aebnas_bo.space.architecture import Architecture, Block, BranchLayer, ExitBranch, Skeleton, Stage
from aebnas_bo.space.plan import ConvPlan, SqueezePlan, network_plan, squeeze_plan
from aebnas_bo.supernet.subnet import Subnet

SKELETON = Skeleton(
    in_channels=3,
    num_classes=5,
    stem_channels=8,
    stem_stride=2,
    stage_strides=(1, 2),
    exit_stages=(0,),
    branch_stride=2,
    head_channels=10,
    activation="relu",
)
BRANCH = ExitBranch(
    (
        BranchLayer("dense", kernel=3, expansion=2, pool=True, upsample=0),
        BranchLayer("depthwise_separable", kernel=5, expansion=3, pool=False, upsample=6),
        BranchLayer("inverted_residual", kernel=3, expansion=2, pool=False, upsample=0),
    )
)
ARCHITECTURE = Architecture(
    resolution=13,
    stages=(Stage(8, (Block(3, 2), Block(5, 1))), Stage(6, (Block(3, 3),))),
    exits=(BRANCH,),
)


def test_plan_halves_odd_sides_upwards() -> None:
    plan = network_plan(ARCHITECTURE, SKELETON)
    assert plan.stem == ConvPlan(3, 8, 3, 2, False, side=7)
    assert plan.stages[1][0].convolutions[1] == ConvPlan(24, 24, 3, 2, True, side=4)
    assert plan.head == ConvPlan(6, 10, 1, 1, False, side=4)
    assert plan.classifier_channels == 10


def test_plan_expands_by_the_channels_that_come_in() -> None:
    expand, depthwise, project = network_plan(ARCHITECTURE, SKELETON).stages[0][0].convolutions
    assert (expand.in_channels, expand.out_channels) == (8, 16)
    assert (depthwise.in_channels, depthwise.out_channels) == (16, 16)
    assert (project.in_channels, project.out_channels) == (16, 8)


def test_plan_has_residual_only_where_shapes_agree() -> None:
    plan = network_plan(ARCHITECTURE, SKELETON)
    assert [[block.has_residual for block in stage] for stage in plan.stages] == [[True, True], [False]]


def test_plan_of_a_block_follows_its_kind() -> None:
    blocks = (Block(5, 1, "depthwise_separable"), Block(3, 1, "dense"))
    architecture = replace(ARCHITECTURE, stages=(ARCHITECTURE.stages[0], Stage(6, blocks)))
    separable, dense = network_plan(architecture, replace(SKELETON, squeezed_stages=(1,))).stages[1]
    assert separable.convolutions == (ConvPlan(8, 8, 5, 2, True, side=4), ConvPlan(8, 6, 1, 1, False, side=4))
    assert separable.squeeze == SqueezePlan(8, 8)
    assert separable.macs == 16 * (8 * 25 + 8 * 6) + 2 * 8 * 8
    assert dense.convolutions == (ConvPlan(6, 6, 3, 1, False, side=4),)
    assert (dense.squeeze, dense.has_residual, separable.has_residual) == (None, True, False)


def test_plan_of_a_convnext_block_is_wide_behind_its_depthwise_convolution() -> None:
    architecture = replace(ARCHITECTURE, stages=(ARCHITECTURE.stages[0], Stage(6, (Block(7, 3, "convnext"),))))
    [block] = network_plan(architecture, replace(SKELETON, squeezed_stages=(1,))).stages[1]
    depthwise, expand, project = block.convolutions
    assert depthwise == ConvPlan(8, 8, 7, 2, True, side=4)
    assert (expand, project) == (ConvPlan(8, 24, 1, 1, False, side=4), ConvPlan(24, 6, 1, 1, False, side=4))
    assert (block.are_linear, block.expansion, block.squeeze) == ((True, False, True), 3, SqueezePlan(8, 8))
    assert block.macs == 16 * (8 * 49 + 8 * 24 + 24 * 6) + 2 * 8 * 8


def test_plan_without_the_last_stage_ends_with_the_stage_before() -> None:
    plan = network_plan(replace(ARCHITECTURE, stages=(ARCHITECTURE.stages[0], Stage(0, ()))), SKELETON)
    assert plan.stages[1] == ()
    assert (plan.last_channels, plan.last_side, plan.head) == (8, 7, ConvPlan(8, 10, 1, 1, False, side=7))


def test_plan_of_a_branch_follows_each_kind() -> None:
    branch = network_plan(ARCHITECTURE, SKELETON).branches[0]
    assert branch is not None
    dense, separable, inverted = (layer.convolutions for layer in branch.layers)
    assert dense == (ConvPlan(8, 16, 3, 2, False, side=4),)  # 7 -> 4, pooled to 2, resized to 6
    assert separable == (ConvPlan(16, 16, 5, 2, True, side=3), ConvPlan(16, 48, 1, 1, False, side=3))
    assert [conv.out_channels for conv in inverted] == [96, 96, 48]
    assert branch.classifier_channels == 48


def test_plan_agrees_with_the_tensors_of_a_plain_network() -> None:
    subnet = Subnet(ARCHITECTURE, SKELETON).eval()
    shapes: list[tuple[int, ...]] = []
    for conv_norm in subnet.conv_norms():
        conv_norm.register_forward_hook(lambda _module, _inputs, output: shapes.append(tuple(output.shape[1:])))
    subnet(torch.zeros(1, 3, 13, 13))
    plan = network_plan(ARCHITECTURE, SKELETON)
    branch = plan.branches[0]
    assert branch is not None
    assert plan.head is not None
    stages = [[conv for block in stage for conv in block.convolutions] for stage in plan.stages]
    in_branch = [conv for layer in branch.layers for conv in layer.convolutions]
    convolutions = [plan.stem, *stages[0], *in_branch, *stages[1], plan.head]
    assert shapes == [(conv.out_channels, conv.side, conv.side) for conv in convolutions]


def test_stages_that_are_named_are_squeezed_to_a_quarter_of_the_hidden_channels() -> None:
    plan = network_plan(ARCHITECTURE, replace(SKELETON, squeezed_stages=(1,)))
    assert [[block.squeeze for block in stage] for stage in plan.stages] == [[None, None], [SqueezePlan(24, 8)]]
    block, plain = plan.stages[1][0], network_plan(ARCHITECTURE, SKELETON).stages[1][0]
    assert block.macs == plain.macs + 2 * 24 * 8


@pytest.mark.parametrize(("channels", "squeezed"), [(4, 8), (40, 8), (48, 16), (144, 40), (384, 96)])
def test_squeezed_features_are_a_multiple_of_eight(channels: int, squeezed: int) -> None:
    assert squeeze_plan(channels) == SqueezePlan(channels, squeezed)


def test_plan_rejects_an_architecture_of_another_skeleton() -> None:
    with pytest.raises(ValueError, match="argument 2 is longer"):
        network_plan(Architecture(13, ARCHITECTURE.stages[:1], ARCHITECTURE.exits), SKELETON)
