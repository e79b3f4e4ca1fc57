"""Blocks of any size and kind out of the largest."""

from __future__ import annotations

import pytest
import torch

from aebnas_bo.space.architecture import Architecture, Block, Skeleton, Stage
from aebnas_bo.space.block_and_layer_kinds import LAYER_KINDS, LayerKind
from aebnas_bo.space.declaration import StageChoices
from aebnas_bo.space.plan import BlockPlan, network_plan
from aebnas_bo.supernet.blocks import ElasticBlock, LayerSizes, convolutions_of
from aebnas_bo.supernet.elastic_layers import ElasticConvNorm, modules_of

KINDS = tuple(LAYER_KINDS)
CHOICES = StageChoices(widths=(4, 6), depths=(1,), kernels=(3, 5), expansions=(1, 2), stride=1, kinds=KINDS)


def _plan(width: int, stride: int, kind: LayerKind = "inverted_residual") -> BlockPlan:
    skeleton = Skeleton(1, 2, 4, 1, (stride,), (), 1, 0, "relu")
    return network_plan(Architecture(8, (Stage(width, (Block(3, 2, kind),)),), ()), skeleton).stages[0][0]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("width", "stride", "has_residual"), [(4, 1, True), (6, 1, False), (4, 2, False)])
def test_block_adds_its_input_only_where_shapes_agree(
    width: int, stride: int, has_residual: bool, kind: LayerKind
) -> None:
    block, plan = (
        ElasticBlock(4, CHOICES, is_squeezed=False, generator=torch.Generator().manual_seed(0)),
        _plan(width, stride, kind),
    )
    with torch.no_grad():
        for convolution, _ in block.parts(plan):
            convolution.scale.zero_()
    features = torch.randn(3, 4, 8, 8)
    output = block(features, plan, "relu")
    assert output.shape == (3, width, 8 // stride, 8 // stride)
    assert torch.equal(output, features if has_residual else torch.zeros_like(output))


@pytest.mark.parametrize(
    ("kind", "is_linear"),
    [("dense", False), ("depthwise_separable", False), ("inverted_residual", True), ("convnext", True)],
)
def test_block_ends_linearly_where_it_projects(kind: LayerKind, is_linear: bool) -> None:
    block = ElasticBlock(4, CHOICES, is_squeezed=False, generator=torch.Generator().manual_seed(0))
    assert bool((block(torch.randn(3, 4, 8, 8), _plan(6, 1, kind), "relu") < 0).any()) == is_linear


def test_block_of_every_kind_has_weights_of_its_own() -> None:
    block = ElasticBlock(4, CHOICES, is_squeezed=True, generator=torch.Generator().manual_seed(0))
    assert set(block.kinds) == set(KINDS)
    assert set(block.squeezes) == set(KINDS) - {"dense"}  # dense has no depthwise convolution


def test_inverted_residual_has_an_expansion_even_by_one() -> None:
    convolutions = convolutions_of("inverted_residual", LayerSizes(4, 4, 6, 3), torch.Generator().manual_seed(0))
    shapes = [tuple(layer.weight.shape) for layer in modules_of(convolutions, ElasticConvNorm)]
    assert shapes == [(4, 4, 1, 1), (4, 1, 3, 3), (6, 4, 1, 1)]
