from pathlib import Path

import numpy as np
import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from aebnas_bo.backbones.factories import BackboneInput
from aebnas_bo.backbones.pieces import cut_at
from aebnas_bo.backbones.tracing import trace
from aebnas_bo.space.architecture import Architecture
from aebnas_bo.space.extremes import extreme_network, possible_macs
from aebnas_bo.space.macs import exit_costs
from aebnas_bo.space.network_space import NetworkSpace
from aebnas_bo.supernet.branch_supernet import BranchSupernet
from aebnas_bo.supernet.extraction import copy_weights, extract
from aebnas_bo.supernet.given_subnet import GivenSubnet
from tests import given_networks

pytestmark = pytest.mark.slow  # the first trace of a process takes seconds

NETWORKS = ("TinyResNet", "TinyViT")


@pytest.fixture(scope="module", params=NETWORKS)
def ground(request: pytest.FixtureRequest) -> tuple[NetworkSpace, list[torch.nn.Module]]:
    """The space of a backbone, and its pieces."""
    torch.manual_seed(0)
    backbone = getattr(given_networks, request.param)()
    space = given_networks.given_space(request.param)
    points = [point.name for point in space.skeleton.given.points]
    return space, cut_at(trace(backbone, BackboneInput(3, 3, 8)), points)


def drawn(space: NetworkSpace, count: int) -> list[Architecture]:
    generator = np.random.default_rng(0)
    return [space.architecture(space.search_space.sample(generator)) for _ in range(count)]


def rows_of(space: NetworkSpace, pieces: list[torch.nn.Module], images: torch.Tensor) -> torch.Tensor:
    supernet = BranchSupernet(space.declaration, space.skeleton, 0)
    features = []
    for piece in pieces:
        images = piece(images)
        features.append(images)
    return supernet.layout.joined([features[stage] for stage in space.skeleton.exit_stages], features[-1])


def test_macs_are_those_that_a_network_executes(ground: tuple[NetworkSpace, list[torch.nn.Module]]) -> None:
    space, pieces = ground
    for architecture in drawn(space, 50):
        subnet = GivenSubnet(architecture, space.skeleton, pieces).eval()
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            outputs = subnet(torch.zeros(1, 3, 8, 8))
        assert counter.get_total_flops() == 2 * exit_costs(architecture, space.skeleton).cumulative[-1]
        assert len(outputs) == len(architecture.active_exits) + 1


def test_branches_on_features_predict_as_the_whole_network(ground: tuple[NetworkSpace, list[torch.nn.Module]]) -> None:
    space, pieces = ground
    supernet = BranchSupernet(space.declaration, space.skeleton, 0)
    for query in (branch.query for branch in supernet.branches if branch.query is not None):
        torch.nn.init.normal_(query)
    images = torch.randn(4, 3, 8, 8)
    with torch.no_grad():
        rows = rows_of(space, pieces, images)
        for architecture in drawn(space, 20):
            on_features = extract(supernet, architecture)
            whole = GivenSubnet(architecture, space.skeleton, pieces)
            copy_weights(supernet, whole)
            shared = supernet(rows, architecture)
            for one, other, third in zip(shared, on_features.train()(rows), whole.train()(images), strict=True):
                torch.testing.assert_close(one, other)
                torch.testing.assert_close(one, third)


def test_extreme_networks_bound_the_macs_of_all_others(ground: tuple[NetworkSpace, list[torch.nn.Module]]) -> None:
    space, _ = ground
    cheapest, dearest = (
        exit_costs(extreme_network(space, which), space.skeleton).cumulative[-1]
        for which in ("cheapest", "most expensive")
    )
    costs = [exit_costs(one, space.skeleton).cumulative for one in drawn(space, 50)]
    assert cheapest == space.skeleton.given.macs
    assert max(one[-1] for one in costs) <= dearest
    assert possible_macs(space)[0] <= min(one[0] for one in costs)


def test_ways_to_pool_tokens_have_their_own_weights() -> None:
    space = given_networks.given_space("TinyViT")
    supernet = BranchSupernet(space.declaration, space.skeleton, 0)
    assert set(supernet.branches[0].branches) == {"mean", "class_token", "attention"}
    point = {one.name: one.values[-1] for one in space.search_space.parameters if hasattr(one, "values")}
    thresholds = {one.name: 1.0 for one in space.search_space.parameters if not hasattr(one, "values")}
    by_attention = space.architecture({**point, **thresholds, "exit1_pooling": "attention"})
    rows = torch.randn(6, supernet.layout.width)
    supernet(rows, by_attention)[0].sum().backward()
    weights = supernet.branches[0].branches
    assert supernet.branches[0].query.grad is not None
    assert weights["attention"].classifier.weight.grad is not None
    assert weights["mean"].classifier.weight.grad is None
    assert {by_attention.exits[0].pooling} == {"attention"}


def test_networks_of_other_poolings_have_other_keys(tmp_path: Path) -> None:
    space = given_networks.given_space("TinyViT")
    point = {one.name: one.values[0] for one in space.search_space.parameters if hasattr(one, "values")}
    point |= {one.name: 1.0 for one in space.search_space.parameters if not hasattr(one, "values")}
    point["exit1_depth"] = 1
    keys = {space.architecture({**point, "exit1_pooling": way}).key for way in ("mean", "class_token", "attention")}
    assert len(keys) == 3
