"""Backbones that a supernet is trained on."""

import numpy as np
import pytest

from aebnas_bo.config.loading import load_config
from aebnas_bo.errors import ConfigError
from aebnas_bo.space import backbone_pool as pools
from aebnas_bo.space.architecture import Architecture
from aebnas_bo.space.backbone_pool import STRATA, backbone_pool
from aebnas_bo.space.macs import exit_costs
from aebnas_bo.space.network_space import NetworkSpace
from aebnas_bo.space.sampling import TrainingSampler

SPACE = NetworkSpace(
    load_config(None, ["space.preset=auto", "data.dataset=cifar10", "data.root=.", "data.image_size=16"]).space, 3, 10
)


def macs(architecture: Architecture) -> float:
    plain = Architecture(architecture.resolution, architecture.stages, (None,) * len(architecture.exits))
    return exit_costs(plain, SPACE.skeleton).cumulative[-1] / 1e6


def drawn(max_macs: float | None, count: int = 160) -> list[float]:
    sampler = TrainingSampler(
        SPACE, np.random.default_rng(0), has_balanced_branches=True, pool=backbone_pool(SPACE, 0, max_macs)
    )
    return [macs(sampler.draw("random")) for _ in range(count)]


@pytest.fixture
def few_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pools, "DRAWS", 512)


@pytest.mark.slow
def test_no_network_of_the_pool_exceeds_the_most_macs() -> None:
    pool = backbone_pool(SPACE, 0, 0.8)
    sampler = TrainingSampler(SPACE, np.random.default_rng(0), has_balanced_branches=True, pool=pool)
    largest, smallest = macs(sampler.draw("largest")), macs(sampler.draw("smallest"))
    assert 0.75 < largest <= 0.8
    assert all(smallest <= one <= largest for one in drawn(0.8))


@pytest.mark.usefixtures("few_draws")
def test_random_networks_are_spread_evenly_over_log_macs() -> None:
    logs = np.log(drawn(None))
    counts, _ = np.histogram(logs, np.linspace(logs.min(), logs.max(), 5))
    assert counts.min() > 0.6 * counts.mean()


@pytest.mark.usefixtures("few_draws")
def test_pool_has_every_stratum() -> None:
    assert len(backbone_pool(SPACE, 0, 0.8).strata) == STRATA


@pytest.mark.slow
def test_pool_is_a_function_of_the_seed() -> None:
    assert backbone_pool(SPACE, 0, 0.8) == backbone_pool(SPACE, 0, 0.8) != backbone_pool(SPACE, 1, 0.8)


@pytest.mark.usefixtures("few_draws")
def test_pool_says_what_the_cheapest_network_costs() -> None:
    with pytest.raises(ConfigError, match=r"supernet.max_macs: no network of the space costs 0.001 M .* the cheapest"):
        backbone_pool(SPACE, 0, 0.001)
