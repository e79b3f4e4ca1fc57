import numpy as np
import pytest
import torch

from aebnas_bo.config.loading import load_config
from aebnas_bo.early_exit.exit_rule import ExitTable, evaluate_thresholds
from aebnas_bo.errors import SearchSpaceError
from aebnas_bo.experiments.rank_correlation.band import band_candidates, points_in_band
from aebnas_bo.space.macs import exit_costs
from aebnas_bo.space.network_space import NetworkSpace

SPACE = NetworkSpace(load_config(None, ["space.preset=cifar"]).space, 3, 10)
BAND = (1.8, 2.6)


class Tables:
    """Random confidences in place of a supernet's."""

    def __init__(self, space: NetworkSpace, highest: float = 1.0) -> None:
        self.space, self.highest, self.keys = space, highest, []

    def __call__(self, architecture) -> ExitTable:
        self.keys.append(architecture.key)
        macs = exit_costs(architecture, self.space.skeleton).cumulative
        generator = torch.Generator().manual_seed(int(architecture.key, 16))
        confidence = self.highest * torch.rand(len(macs), 400, generator=generator)
        return ExitTable(confidence, confidence > 0.5, macs)


def draw(space=SPACE, band=BAND, seed=0, tables=None, count=12):
    generator = np.random.default_rng(seed)
    candidates = band_candidates(space, count, band=band, generator=generator)
    tables = tables or Tables(space)
    return points_in_band(space, candidates, count, band=band, table_of=tables, generator=generator)


def average_macs(space, points):
    tables = Tables(space)
    return [evaluate_thresholds(tables(space.architecture(p)), space.thresholds(p)).average_macs / 1e6 for p in points]


@pytest.mark.slow
def test_average_macs_of_all_networks_lie_in_the_band() -> None:
    tables = Tables(SPACE)
    points = draw(tables=tables)
    found = average_macs(SPACE, points)
    assert all(BAND[0] <= macs <= BAND[1] for macs in found)
    assert max(found) - min(found) > 0.5 * (BAND[1] - BAND[0])
    assert len(tables.keys) == len(set(tables.keys)) <= 3 * len(points)
    assert all(SPACE.search_space.canonical(point) == point for point in points)


@pytest.mark.slow
def test_networks_of_a_band_differ_in_worst_case_macs_and_exits() -> None:
    architectures = [SPACE.architecture(point) for point in draw(seed=1)]
    worst = [exit_costs(architecture, SPACE.skeleton).cumulative[-1] / 1e6 for architecture in architectures]
    assert len({architecture.key for architecture in architectures}) == 12
    assert worst == sorted(worst)
    assert worst[-1] > 1.5 * BAND[1]
    assert worst[0] < 1.1 * BAND[1]
    assert len({architecture.active_exits for architecture in architectures}) >= 2


@pytest.mark.slow
def test_points_of_a_band_are_a_function_of_the_seed() -> None:
    assert draw(seed=3) == draw(seed=3) != draw(seed=4)


@pytest.mark.slow
def test_thresholds_of_few_values_are_moved_between_these() -> None:
    space = NetworkSpace(load_config(None, ["space.thresholds=[0.1,0.3,0.5,0.7,0.9]"]).space, 1, 10)
    points = draw(space, (0.1, 0.14), count=6)
    assert all(0.1 <= macs <= 0.14 for macs in average_macs(space, points))
    assert {threshold for point in points for threshold in space.thresholds(point)} <= {0.1, 0.3, 0.5, 0.7, 0.9}


@pytest.mark.slow
def test_a_band_where_no_network_lies_names_the_range_there_is() -> None:
    with pytest.raises(SearchSpaceError, match=r"of 3072 random networks 0 can .* 100 to 200 million") as caught:
        draw(band=(100.0, 200.0))
    text = str(caught.value).split("lie between ")[1]
    low, high = float(text.split(" and ")[0]), float(text.split(" and ")[1].split(" million")[0])
    assert 0.0 < low < high < 100.0
    assert draw(band=(low, high))


@pytest.mark.slow
def test_a_band_that_thresholds_do_not_reach_is_an_error() -> None:
    # no image is ever confident enough to leave: average MACs are worst-case MACs
    space = NetworkSpace(load_config(None, ["space.thresholds=[0.5,0.9]"]).space, 1, 10)
    with pytest.raises(SearchSpaceError, match=r"networks tried \d+ have thresholds .* widen the band"):
        draw(space, (0.0300, 0.0301), tables=Tables(space, highest=0.1))
