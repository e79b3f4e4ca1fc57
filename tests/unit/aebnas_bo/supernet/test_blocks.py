"""Inverted residual blocks of any size out of the largest."""

from __future__ import annotations

import pytest
import torch

from aebnas_bo.space.architecture import Architecture, Block, Skeleton, Stage
from aebnas_bo.space.declaration import StageChoices
from aebnas_bo.space.plan import BlockPlan, network_plan
from aebnas_bo.supernet.blocks import ElasticBlock, inverted_residual
from aebnas_bo.supernet.elastic_layers import ElasticConvNorm, modules_of

CHOICES = StageChoices(widths=(4, 6), depths=(1,), kernels=(3, 5), expansions=(1, 2), stride=1)


def _plan(width: int, stride: int) -> BlockPlan:
    skeleton = Skeleton(1, 2, 4, 1, (stride,), (), 1, 0, "relu")
    return network_plan(Architecture(8, (Stage(width, (Block(3, 2),)),), ()), skeleton).stages[0][0]


@pytest.mark.parametrize(("width", "stride", "has_residual"), [(4, 1, True), (6, 1, False), (4, 2, False)])
def test_block_adds_its_input_only_where_shapes_agree(width: int, stride: int, has_residual: bool) -> None:
    block = ElasticBlock(4, CHOICES, False, torch.Generator().manual_seed(0))
    with torch.no_grad():
        for convolution, _ in block.parts(_plan(width, stride)):
            convolution.scale.zero_()
    features = torch.randn(3, 4, 8, 8)
    output = block(features, _plan(width, stride), "relu")
    assert output.shape == (3, width, 8 // stride, 8 // stride)
    assert torch.equal(output, features if has_residual else torch.zeros_like(output))


def test_block_projects_linearly() -> None:
    block = ElasticBlock(4, CHOICES, False, torch.Generator().manual_seed(0))
    assert bool((block(torch.randn(3, 4, 8, 8), _plan(6, 1), "relu") < 0).any())


def test_inverted_residual_has_an_expansion_even_by_one() -> None:
    convolutions = inverted_residual(4, 4, 6, 3, torch.Generator().manual_seed(0))
    shapes = [tuple(layer.weight.shape) for layer in modules_of(convolutions, ElasticConvNorm)]
    assert shapes == [(4, 4, 1, 1), (4, 1, 3, 3), (6, 4, 1, 1)]
