"""Whether estimates of plain networks grow with their size."""

from collections.abc import Sequence

import pytest

from aebnas_bo.analysis.supernet_check import plain_tau, supernet_warning
from aebnas_bo.config.loading import load_config
from aebnas_bo.estimation.estimate import OperatingPoint
from aebnas_bo.search.trial import Trial
from aebnas_bo.space.network_space import NetworkSpace
from aebnas_bo.space.plain_points import plain_points
from tests.made_trials import completed, with_further


@pytest.fixture(scope="module")
def space() -> NetworkSpace:
    settings = ["space.preset=auto", "data.dataset=cifar10", "data.root=.", "data.image_size=16"]
    return NetworkSpace(load_config(None, settings).space, 3, 10)


def trials(space: NetworkSpace, accuracies: Sequence[float]) -> list[Trial]:
    return [
        completed(number, space.architecture(point).key, point, {"accuracy": accuracy})
        for number, (point, accuracy) in enumerate(zip(plain_points(space), accuracies, strict=False))
    ]


def test_estimates_that_grow_with_size_raise_no_warning(space: NetworkSpace) -> None:
    tau = plain_tau(trials(space, [40, 45, 50, 55, 60, 65]), space)
    assert tau == pytest.approx(1.0)
    assert supernet_warning(tau) == ""


def test_estimates_that_do_not_follow_size_are_warned_of(space: NetworkSpace) -> None:
    tau = plain_tau(trials(space, [38.4, 38.5, 39.0, 38.2, 38.0, 38.3]), space)
    assert "Kendall tau -0.33" in supernet_warning(tau)
    assert plain_tau(trials(space, [10.0] * 6), space) == 0.0


def test_the_best_thresholds_of_a_network_count(space: NetworkSpace) -> None:
    observed = trials(space, [40, 45, 50, 55, 10])
    further = OperatingPoint({"accuracy": 60.0}, {})
    assert plain_tau([*observed[:4], with_further(observed[4], further)], space) == pytest.approx(1.0)


def test_too_few_plain_networks_say_nothing(space: NetworkSpace) -> None:
    assert plain_tau(trials(space, [40, 45, 50, 55]), space) is None
    assert supernet_warning(None) == ""
    residuals = NetworkSpace(load_config(None, ["space.preset=aebnas"]).space, 3, 10)
    assert plain_tau([], residuals) is None


def test_plain_networks_near_a_hundred_percent_say_nothing(space: NetworkSpace) -> None:
    assert plain_tau(trials(space, [97.1, 97.0, 96.5, 96.6, 96.2, 96.0]), space) is None
    assert plain_tau(trials(space, [97.1, 97.0, 96.5, 96.6, 96.2, 94.0]), space) is not None
