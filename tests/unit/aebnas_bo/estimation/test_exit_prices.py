import numpy as np
import pytest
import torch

from aebnas_bo.config.loading import load_config
from aebnas_bo.estimation.exit_prices import exit_macs
from aebnas_bo.space.macs import exit_costs
from aebnas_bo.space.network_space import NetworkSpace

EVERY_KIND = [
    "space.preset=cifar",
    "space.head_channels=8",
    "space.stem_channels=null",
    *(f"space.stages.{n}.kinds=[depthwise_separable,inverted_residual,dense]" for n in range(3)),
    "space.stages.2.depths=[0,1,2]",
]


@pytest.fixture(scope="module", params=["tiny", "cifar", "cifar32", "aebnas", "every kind"])
def space(request) -> NetworkSpace:
    settings = EVERY_KIND if request.param == "every kind" else [f"space.preset={request.param}"]
    return NetworkSpace(load_config(None, settings).space, 3, 10)


def test_costs_are_those_of_the_exits(space: NetworkSpace) -> None:
    generator = np.random.default_rng(0)
    sampled = [space.search_space.sample(generator) for _ in range(60)]
    X = torch.tensor(np.stack([space.search_space.encode(point) for point in sampled]))
    known = exit_macs(space)
    names = [space.search_space.names[column] for column in known.thresholds]
    assert names == [f"exit{n}_threshold" for n in range(1, len(space.declaration.exits) + 1)]
    for point, found in zip(sampled, known(X).tolist(), strict=True):
        costs = exit_costs(space.architecture(point), space.skeleton)
        assert [found[position] for position in costs.exits] + found[-1:] == [c / 1e6 for c in costs.cumulative]
        assert found == sorted(found)


def test_thresholds_do_not_matter_and_parts_are_not_counted_twice(space: NetworkSpace, monkeypatch) -> None:
    point = {**space.search_space.sample(np.random.default_rng(1)), "exit1_depth": 2}
    rows = [space.search_space.encode({**point, "exit1_threshold": t}) for t in (0.1, 0.5, 0.9)]
    known = exit_macs(space)
    first = known(torch.tensor(np.stack(rows[:1])))
    for name in ("stage_plan", "branch_plan", "stem_plan", "head_plan"):
        monkeypatch.setattr(f"aebnas_bo.estimation.exit_prices.{name}", lambda *_, **__: pytest.fail("counted again"))
    assert torch.equal(known(torch.tensor(np.stack(rows))), first.expand(3, -1))
