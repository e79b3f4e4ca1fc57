"""The plain networks of a space."""

from itertools import pairwise

import pytest

from aebnas_bo.config.loading import load_config
from aebnas_bo.space.architecture import Block
from aebnas_bo.space.macs import exit_costs
from aebnas_bo.space.network_space import NetworkSpace
from aebnas_bo.space.plain_family import DEEP_FROM, SHALLOW_BELOW
from aebnas_bo.space.plain_points import EXITS_FROM, LEAST_STEM, OVERLAP, STEP, first_points, plain_points
from aebnas_bo.space.search_space import ParameterValue


def space_of(size: int) -> NetworkSpace:
    settings = ["space.preset=auto", "data.dataset=cifar10", "data.root=.", f"data.image_size={size}"]
    return NetworkSpace(load_config(None, settings).space, 3, 10)


@pytest.mark.parametrize(
    ("size", "shallow", "deep"),
    [
        (16, [2, 2, 1, 1], [2, 3, 2, 1]),
        (32, [2, 2, 1, 1], [2, 3, 2, 1]),
        (128, [2, 2, 2, 1, 1], [2, 3, 3, 2, 1]),
    ],
)
def test_plain_points_have_separable_blocks_and_a_small_last_stage(
    size: int, shallow: list[int], deep: list[int]
) -> None:
    space = space_of(size)
    seen = set()
    for point in plain_points(space):
        network = space.architecture(point)
        depths, unit = [len(stage.blocks) for stage in network.stages], network.stages[0].width / 2
        assert depths == (deep if unit >= SHALLOW_BELOW else shallow) or (unit >= DEEP_FROM and depths == deep)
        seen.add(depths == deep)
        assert {block for stage in network.stages for block in stage.blocks} == {Block(3, 1, "depthwise_separable")}
        stages = [space.skeleton.exit_stages[position] + 1 for position in network.active_exits]
        possible = [one.after_stage for one in space.declaration.exits if one.after_stage < len(shallow) - 1]
        assert stages in ([], possible)
    assert seen == {False, True}


def test_plain_points_are_distinct_and_grow() -> None:
    space = space_of(32)
    networks = [space.architecture(point) for point in plain_points(space)]
    networks = [network for network in networks if network.active_exits]
    assert len({network.key for network in networks}) == len(networks)
    macs: dict[int, list[float]] = {32: [], 24: []}
    for network in networks:
        macs[network.resolution].append(exit_costs(network, space.skeleton).backbone[-1])
    assert all(STEP <= later / earlier < 1.8 for grown in macs.values() for earlier, later in pairwise(grown))
    assert max(macs[24]) <= OVERLAP * min(macs[32])
    assert [network.resolution for network in networks] == [32] * len(macs[32]) + [24] * len(macs[24])


def test_only_the_lowest_resolution_has_narrow_stems() -> None:
    space = space_of(32)
    for point in plain_points(space):
        network = space.architecture(point)
        assert network.resolution == 24 or network.stages[0].width >= 2 * LEAST_STEM


def test_small_networks_come_without_exits_too() -> None:
    space = space_of(16)
    networks = [space.architecture(point) for point in plain_points(space)]
    static = [network for network in networks if not network.active_exits]
    assert len(static) >= 3
    for network in static:
        assert exit_costs(network, space.skeleton).cumulative[-1] < EXITS_FROM
        assert networks[networks.index(network) + 1].stages == network.stages
    with_exits = {network.stages for network in networks if network.active_exits}
    assert {network.stages for network in static} < with_exits


@pytest.mark.parametrize(("preset", "range_of_macs"), [("tiny", 2.5), ("cifar", 10.0), ("cifar32", 10.0)])
def test_presets_have_plain_networks(preset: str, range_of_macs: float) -> None:
    space = NetworkSpace(load_config(None, [f"space.preset={preset}"]).space, 3, 10)
    networks = [space.architecture(point) for point in plain_points(space)]
    assert networks, f"every stage of {preset} needs depthwise_separable blocks"
    macs = [exit_costs(network, space.skeleton).backbone[-1] for network in networks]
    assert max(macs) > range_of_macs * min(macs)


@pytest.mark.parametrize("resolutions", [[16], [12, 16]])
def test_first_stage_of_one_width(resolutions: list[int]) -> None:
    settings = ["data.dataset=cifar10", "data.root=.", "data.image_size=16", "space.preset=tiny"]
    settings += ["space.stages.0.widths=[24]", f"space.resolutions={resolutions}"]
    space = NetworkSpace(load_config(None, settings).space, 3, 10)
    networks = [space.architecture(point) for point in plain_points(space)]
    assert networks
    assert {network.stages[0].width for network in networks} == {24}


def test_too_many_first_points_are_thinned_out_evenly() -> None:
    settings = ["data.dataset=cifar10", "data.root=.", "data.image_size=128", "search.max_average_macs=2.5"]
    space = NetworkSpace(load_config(None, ["space.preset=auto", *settings]).space, 3, 10)
    points = plain_points(space)
    assert len(points) > 18, "the test needs a space with too many"
    assert first_points(space, len(points)) == points

    def macs(chosen: list[dict[str, ParameterValue]]) -> list[int]:
        return sorted(exit_costs(space.architecture(point), space.skeleton).cumulative[-1] for point in chosen)

    chosen = first_points(space, 18)
    assert len(chosen) == 18
    assert chosen == [point for point in points if point in chosen]
    every, some = macs(points), macs(chosen)
    assert (some[0], some[-1]) == (every[0], every[-1])
    widest, allowed = (max(later / earlier for earlier, later in pairwise(one)) for one in (some, every))
    assert widest <= max(allowed, 1.5)
    assert [len(first_points(space, most)) for most in (1, 2, 3)] == [1, 2, 3]


@pytest.mark.parametrize("limit", [0.5, 1.5])
def test_thinning_keeps_the_largest_network_within_each_budget(limit: float) -> None:
    settings = ["data.dataset=cifar10", "data.root=.", "data.image_size=96", f"search.max_average_macs={limit}"]
    space = NetworkSpace(load_config(None, ["space.preset=auto", *settings]).space, 3, 10)
    budgets = [limit * 1e6 * share for share in (0.1, 10**-0.5, 1.0)]

    def largest(points: list[dict[str, ParameterValue]]) -> list[int]:
        """MACs without exits of the largest network within each budget; with exits from `EXITS_FROM` on."""
        networks = [space.architecture(point) for point in points]
        return [
            max(
                macs
                for one in networks
                if (macs := exit_costs(one, space.skeleton).backbone[-1]) <= budget
                and bool(one.active_exits) == (budget >= EXITS_FROM)
            )
            for budget in budgets
        ]

    every = largest(plain_points(space))
    assert largest(first_points(space, 18)) != every, "the test needs a space of which thinning alone drops one"
    chosen = first_points(space, 18, budgets)
    assert len(chosen) == 18
    assert largest(chosen) == every
    assert len(first_points(space, 2, budgets)) == 2


def test_space_of_inverted_residuals_alone_has_no_plain_points() -> None:
    assert plain_points(NetworkSpace(load_config(None, ["space.preset=aebnas"]).space, 3, 10)) == []
