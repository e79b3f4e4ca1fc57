"""MACs against torch's own counter and against numbers worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from aebnas_bo.estimation.macs import ExitCosts, exit_costs
from aebnas_bo.space.architecture import Architecture, Block, BranchLayer, ExitBranch, Skeleton, Stage
from aebnas_bo.space.declaration import BranchLayerChoices, ExitChoices, NetworkSpaceDeclaration, StageChoices
from aebnas_bo.space.network_space import NetworkSpace
from aebnas_bo.space.search_space import ContinuousParameter
from aebnas_bo.supernet.subnet import Subnet


def _space() -> NetworkSpace:
    stages = tuple(
        StageChoices(widths=widths, depths=(1, 2), kernels=(3, 5), expansions=(1, 2), stride=stride)
        for widths, stride in (((4, 6), 1), ((6, 8), 2), ((8, 12), 2))
    )
    first = BranchLayerChoices(
        kinds=("dense", "depthwise_separable", "inverted_residual"),
        kernels=(1, 3, 5),
        expansions=(1, 2),
        pools=(False, True),
        upsamples=(0, 8),
    )
    second = first.model_copy(update={"upsamples": (6, 9)})
    exits = tuple(ExitChoices(after_stage=stage, depths=(0, 1, 2, 3), layers=(first, second)) for stage in (1, 2))
    declaration = NetworkSpaceDeclaration(
        resolutions=(9, 12, 16),
        stem_channels=4,
        stem_stride=1,
        head_channels=20,
        branch_stride=2,
        activation="hardswish",
        stages=stages,
        exits=exits,
    )
    return NetworkSpace(declaration, in_channels=3, num_classes=7)


def _random_architecture(space: NetworkSpace, generator: np.random.Generator) -> Architecture:
    return space.architecture(
        {
            parameter.name: parameter.upper
            if isinstance(parameter, ContinuousParameter)
            else parameter.values[int(generator.integers(len(parameter.values)))]
            for parameter in space.search_space.parameters
        }
    )


@torch.no_grad()
def _counted_costs(architecture: Architecture, skeleton: Skeleton) -> ExitCosts:
    """Half of torch's FLOPs, module by module; the flop counter takes a MAC for two operations."""
    subnet = Subnet(architecture, skeleton).eval()
    with FlopCounterMode(display=False) as counter:
        subnet(torch.zeros(1, skeleton.in_channels, 16, 16))
    flops = {name: sum(counts.values()) for name, counts in counter.get_flop_counts().items()}
    stages = [flops[f"Subnet.stages.{stage}"] // 2 for stage in range(len(architecture.stages))]
    reached = np.cumsum([flops["Subnet.stem"] // 2, *stages]).tolist()
    active = [skeleton.exit_stages[position] for position in architecture.active_exits]
    branch = [flops[f"Subnet.branches.{stage}"] // 2 for stage in active]
    backbone = [reached[stage + 1] for stage in active]
    final = reached[-1] + flops["Subnet.head"] // 2
    assert flops["Global"] // 2 == final + sum(branch)
    return ExitCosts((*backbone, final), (*branch, 0))


def test_exit_costs_equal_half_of_torchs_flops() -> None:
    space, generator = _space(), np.random.default_rng(0)
    architectures = [_random_architecture(space, generator) for _ in range(50)]
    assert len({architecture.active_exits for architecture in architectures}) == 4
    for architecture in architectures:
        assert exit_costs(architecture, space.skeleton) == _counted_costs(architecture, space.skeleton)


@pytest.fixture
def skeleton() -> Skeleton:
    return Skeleton(
        in_channels=1,
        num_classes=10,
        stem_channels=4,
        stem_stride=1,
        stage_strides=(2, 1),
        exit_stages=(0,),
        branch_stride=1,
        head_channels=0,
        activation="relu",
    )


STAGES = (Stage(6, (Block(3, 2),)), Stage(8, (Block(5, 1),)))


def test_exit_costs_equal_a_hand_count(skeleton: Skeleton) -> None:
    branch = ExitBranch((BranchLayer("dense", kernel=3, expansion=2, pool=True, upsample=0),))
    costs = exit_costs(Architecture(8, STAGES, (branch,)), skeleton)
    stem = 64 * 4 * 1 * 9
    first = 64 * 4 * 8 + 16 * 8 * 9 + 16 * 8 * 6  # 8x8 pixels, then 4x4
    second = 16 * 6 * 6 + 16 * 6 * 25 + 16 * 6 * 8
    own = 16 * 6 * 12 * 9 + 12 * 10
    assert (stem, first, second, own) == (2304, 3968, 3744, 10488)
    assert costs.backbone == (6272, 6272 + 3744 + 80)
    assert costs.branch == (10488, 0)
    assert costs.cumulative == (16760, 20584)
    assert costs.cumulative_without_earlier_branches == (16760, 10096)


def test_exit_costs_without_exits_are_the_plain_backbones(skeleton: Skeleton) -> None:
    costs = exit_costs(Architecture(8, STAGES, (None,)), skeleton)
    assert costs.cumulative == costs.cumulative_without_earlier_branches == (10096,)
