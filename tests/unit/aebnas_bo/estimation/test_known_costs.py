import numpy as np
import pytest
import torch

from aebnas_bo.config_loading import load_config
from aebnas_bo.estimation.known_costs import AverageMacsRange
from aebnas_bo.estimation.macs import exit_costs
from aebnas_bo.space.network_space import NetworkSpace


@pytest.fixture(scope="module", params=["tiny", "cifar", "aebnas"])
def space(request) -> NetworkSpace:
    return NetworkSpace(load_config(None, [f"space.preset={request.param}"]).space, 3, 10)


def test_range_is_that_of_the_exits(space: NetworkSpace) -> None:
    generator = np.random.default_rng(0)
    sampled = [space.search_space.sample(generator) for _ in range(60)]
    X = torch.tensor(np.stack([space.search_space.encode(point) for point in sampled]))
    ranges = AverageMacsRange(space)(X)
    for point, (least, greatest) in zip(sampled, ranges.tolist(), strict=True):
        costs = exit_costs(space.architecture(point), space.skeleton).cumulative
        assert (least, greatest) == (min(costs) / 1e6, max(costs) / 1e6)
    assert (ranges[:, 0] < ranges[:, 1]).any()


def test_thresholds_do_not_matter_and_parts_are_not_counted_twice(space: NetworkSpace, monkeypatch) -> None:
    point = {**space.search_space.sample(np.random.default_rng(1)), "exit1_depth": 2}
    rows = [space.search_space.encode({**point, "exit1_threshold": t}) for t in (0.1, 0.5, 0.9)]
    known = AverageMacsRange(space)
    first = known(torch.tensor(np.stack(rows[:1])))
    for name in ("stage_plan", "branch_plan", "stem_plan", "head_plan"):
        monkeypatch.setattr(f"aebnas_bo.estimation.known_costs.{name}", lambda *_: pytest.fail("counted again"))
    assert torch.equal(known(torch.tensor(np.stack(rows))), first.expand(3, 2))
