"""Extreme networks against every network of small spaces."""

from collections.abc import Iterator
from itertools import product

import pytest

from aebnas_bo.config.loading import load_config
from aebnas_bo.space.architecture import Architecture
from aebnas_bo.space.declaration import BranchLayerChoices, ExitChoices, NetworkSpaceDeclaration, StageChoices
from aebnas_bo.space.extremes import extreme_network, never_saves, possible_macs, sides
from aebnas_bo.space.macs import exit_costs
from aebnas_bo.space.network_space import NetworkSpace
from aebnas_bo.space.search_space import ContinuousParameter

LAYER = BranchLayerChoices(kinds=("dense", "depthwise_separable"), kernels=(1, 3), upsamples=(0, 10))


def make_space(head_channels: int = 0, expansions: tuple[int, ...] = (1, 2), depths: tuple[int, ...] = (0, 1, 2)):
    declaration = NetworkSpaceDeclaration(
        resolutions=(8, 12),
        stem_channels=None,
        stem_stride=1,
        head_channels=head_channels,
        branch_stride=2,
        activation="relu",
        squeeze_excitation=(1,),
        stages=(
            StageChoices(
                widths=(4, 6), depths=(1,), kernels=(3, 5), expansions=(1, 3), stride=1,
                kinds=("dense", "inverted_residual"),
            ),
            StageChoices(
                widths=(6, 8), depths=(0, 1), kernels=(3,), expansions=(2,), stride=2,
                kinds=("depthwise_separable", "convnext"),
            ),
        ),
        exits=(
            ExitChoices(
                after_stage=1, depths=depths, layers=(LAYER.model_copy(update={"expansions": expansions}),)
            ),
        ),
    )  # fmt: skip
    return NetworkSpace(declaration, 3, 5)


def every_network(space: NetworkSpace) -> Iterator[Architecture]:
    values = [
        [one.upper] if isinstance(one, ContinuousParameter) else one.values for one in space.search_space.parameters
    ]
    for point in product(*values):
        yield space.architecture(dict(zip(space.search_space.names, point, strict=True)))


def macs(space: NetworkSpace, architecture: Architecture) -> int:
    return exit_costs(architecture, space.skeleton).cumulative[-1]


@pytest.mark.slow
@pytest.mark.parametrize("head_channels", [0, 64])  # 64: a head on large maps costs more than the last stage
def test_extreme_networks_are_those_of_the_whole_space(head_channels: int) -> None:
    space = make_space(head_channels)
    networks = set(every_network(space))
    costs = [macs(space, network) for network in networks]
    for which, expected in (("cheapest", min(costs)), ("most expensive", max(costs))):
        found = extreme_network(space, which)
        assert found in networks
        assert macs(space, found) == expected


def test_an_exit_that_is_always_there_is_part_of_the_cheapest_network() -> None:
    space = make_space(depths=(2,))
    cheapest = extreme_network(space, "cheapest")
    assert cheapest.active_exits == (0,)
    assert macs(space, cheapest) == min(macs(space, network) for network in every_network(space))


@pytest.mark.parametrize("expansions", [(1, 2), (12,), (40,)])
def test_an_exit_never_saves_where_no_network_has_more_behind_it(expansions: tuple[int, ...]) -> None:
    space = make_space(expansions=expansions, depths=(0, 2))
    saves = False
    for network in every_network(space):
        if network.active_exits:
            costs = exit_costs(network, space.skeleton)
            saves |= costs.branches[0] < costs.stages[1] + costs.head
    assert never_saves(space, 0) == (not saves)
    assert saves == (expansions == (1, 2))


def test_sides_are_those_behind_the_stem_and_each_stage() -> None:
    space = NetworkSpace(load_config(None, ["space=cifar32"]).space, 3, 10)
    assert sides(space, 20) == [10, 10, 5, 3, 2]


@pytest.mark.slow
def test_all_images_of_all_networks_take_possible_macs() -> None:
    space = make_space()
    costs = [cost for one in set(every_network(space)) for cost in exit_costs(one, space.skeleton).cumulative]
    least, most = possible_macs(space)
    assert least == 8 * 8 * 3 * 9 * 4 // 2 < min(costs)  # half of the narrowest stage's 4 channels, on 8 x 8 pixels
    assert most == max(costs)
