"""MACs against torch's own counter and against numbers worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils.flop_counter import FlopCounterMode

from aebnas_bo.config.loading import load_config
from aebnas_bo.space.architecture import Architecture, Block, BranchLayer, ExitBranch, Skeleton, Stage
from aebnas_bo.space.block_and_layer_kinds import LAYER_KINDS
from aebnas_bo.space.declaration import BranchLayerChoices, ExitChoices, NetworkSpaceDeclaration, StageChoices
from aebnas_bo.space.macs import ExitCosts, exit_costs
from aebnas_bo.space.network_space import NetworkSpace
from aebnas_bo.space.presets import PRESETS
from aebnas_bo.space.search_space import ContinuousParameter
from aebnas_bo.supernet.subnet import Subnet
from tests.declarations import network_spaces, points_of

KINDS = tuple(LAYER_KINDS)


def _space() -> NetworkSpace:
    stages = tuple(
        StageChoices(widths=widths, depths=depths, kernels=(3, 5), expansions=(1, 2), stride=stride, kinds=KINDS)
        for widths, depths, stride in (((4, 6), (1, 2), 1), ((6, 8), (1, 2), 2), ((8, 12), (0, 1, 2), 2))
    )
    first = BranchLayerChoices(
        kinds=KINDS,
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
        learned_confidence=True,
        squeeze_excitation=(2,),
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


def _plain_network(architecture: Architecture, skeleton: Skeleton) -> Subnet:
    with torch.device("meta"):  # the counter needs shapes alone
        return Subnet(architecture, skeleton).eval()


@torch.no_grad()
def _counted_costs(architecture: Architecture, skeleton: Skeleton) -> ExitCosts:
    """Half of torch's FLOPs, module by module; the flop counter takes a MAC for two operations."""
    subnet = _plain_network(architecture, skeleton)
    with FlopCounterMode(display=False) as counter:
        subnet(torch.zeros(1, skeleton.in_channels, 16, 16, device="meta"))
    flops = {name: sum(counts.values()) for name, counts in counter.get_flop_counts().items()}
    active = architecture.active_exits
    exit_stages = tuple(skeleton.exit_stages[position] for position in active)
    return ExitCosts(
        stem=flops["Subnet.stem"] // 2,
        stages=tuple(flops.get(f"Subnet.stages.{stage}", 0) // 2 for stage in range(len(architecture.stages))),
        head=flops["Subnet.head"] // 2,
        branches=tuple(flops[f"Subnet.branches.{stage}"] // 2 for stage in exit_stages),
        exits=active,
        exit_stages=exit_stages,
    )


@torch.no_grad()
def _counted_up_to(output: int, architecture: Architecture, skeleton: Skeleton) -> int:
    """Half of torch's FLOPs of the network with every branch up to an output and nothing after it."""
    subnet = _plain_network(architecture, skeleton)
    if output < len(architecture.active_exits):
        stage = skeleton.exit_stages[architecture.active_exits[output]]
        subnet.stages = subnet.stages[: stage + 1]
        subnet.head = torch.nn.Identity()
    with FlopCounterMode(display=False) as counter:
        subnet(torch.zeros(1, skeleton.in_channels, 16, 16, device="meta"))
    return counter.get_total_flops() // 2


@pytest.mark.slow
@pytest.mark.parametrize("preset", PRESETS)
def test_networks_of_every_preset_cost_half_of_torchs_flops_at_every_exit(preset: str) -> None:
    space = NetworkSpace(load_config(None, [f"space.preset={preset}"]).space, in_channels=3, num_classes=10)
    generator = np.random.default_rng(5)
    for number in range(10):  # 200 of each: benchmarks.supernet_exactness
        architecture = space.architecture(space.search_space.sample(generator))
        costs = exit_costs(architecture, space.skeleton)
        assert costs == _counted_costs(architecture, space.skeleton)
        if number % 5 == 0:
            output = int(generator.integers(len(costs.cumulative)))
            assert costs.cumulative[output] == _counted_up_to(output, architecture, space.skeleton)


@pytest.mark.slow
def test_exit_costs_equal_half_of_torchs_flops() -> None:
    space, generator = _space(), np.random.default_rng(0)
    architectures = [_random_architecture(space, generator) for _ in range(30)]
    assert len({architecture.active_exits for architecture in architectures}) == 4
    for architecture in architectures:
        assert exit_costs(architecture, space.skeleton) == _counted_costs(architecture, space.skeleton)


@pytest.mark.slow
@settings(max_examples=40)
@given(st.data())
def test_networks_of_any_declaration_cost_half_of_torchs_flops(data: st.DataObject) -> None:
    space = data.draw(network_spaces())
    architecture = space.architecture(data.draw(points_of(space.search_space)))
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
    assert costs.branches == (10488,)
    assert costs.cumulative == (16760, 20584)
    assert costs.cumulative_without_earlier_branches == (16760, 10096)
    to_exit = {"stem": 2304, "stage1": 3968, "exit1": 10488}
    to_end = {"stem": 2304, "stage1": 3968, "stage2": 3744, "head": 80}
    assert costs.breakdown() == (to_exit, {**to_end, "exit1": 10488})
    assert costs.breakdown(charges_earlier_branches=False) == (to_exit, to_end)


def test_exit_costs_without_exits_are_the_plain_backbones(skeleton: Skeleton) -> None:
    costs = exit_costs(Architecture(8, STAGES, (None,)), skeleton)
    assert costs.cumulative == costs.cumulative_without_earlier_branches == (10096,)


@pytest.mark.parametrize("charges_earlier_branches", [True, False])
def test_breakdown_adds_up_under_both_counting_rules(charges_earlier_branches: bool) -> None:
    space, generator = _space(), np.random.default_rng(1)
    for _ in range(50):
        costs = exit_costs(_random_architecture(space, generator), space.skeleton)
        expected = costs.cumulative if charges_earlier_branches else costs.cumulative_without_earlier_branches
        assert tuple(sum(parts.values()) for parts in costs.breakdown(charges_earlier_branches)) == expected
