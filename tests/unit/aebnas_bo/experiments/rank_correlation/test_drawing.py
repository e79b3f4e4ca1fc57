import numpy as np
import pytest

from aebnas_bo.config.loading import load_config
from aebnas_bo.errors import SearchSpaceError
from aebnas_bo.experiments.rank_correlation.drawing import spread_points
from aebnas_bo.space.macs import exit_costs
from aebnas_bo.space.network_space import NetworkSpace

SPACE = NetworkSpace(load_config(None, ["space.preset=cifar"]).space, 3, 10)


@pytest.mark.slow
def test_points_are_distinct_and_spread_over_the_range_of_costs() -> None:
    points = spread_points(SPACE, 24, np.random.default_rng(0))
    architectures = [SPACE.architecture(point) for point in points]
    costs = np.log([exit_costs(architecture, SPACE.skeleton).cumulative[-1] for architecture in architectures])
    assert len({architecture.key for architecture in architectures}) == 24
    assert np.all(np.diff(costs) > 0)
    assert costs[-1] - costs[0] > np.log(10)
    assert np.diff(costs).max() < 4 * np.diff(costs).mean()
    for point in points:
        assert SPACE.search_space.canonical(point) == point


@pytest.mark.slow
def test_points_are_a_function_of_the_generator() -> None:
    one, same, other = (spread_points(SPACE, 5, np.random.default_rng(seed)) for seed in (0, 0, 1))
    assert one == same != other


def test_a_space_with_too_few_networks_is_an_error() -> None:
    stage = '{{"widths":{},"depths":[1],"kernels":[3],"expansions":[1],"stride":1}}'
    stages = f"[{stage.format([4])},{stage.format([4, 8])}]"
    settings = ["space.resolutions=[8]", f"space.stages={stages}", "space.exits=[]"]
    space = NetworkSpace(load_config(None, settings).space, 1, 10)
    with pytest.raises(SearchSpaceError, match="2 distinct architectures, expected 4"):
        spread_points(space, 4, np.random.default_rng(0))
