"""Speeds of training on this machine."""

import pytest

from aebnas_bo.config.loading import load_config
from aebnas_bo.preparation.problem import Problem
from aebnas_bo.study import training_speed as speed
from aebnas_bo.study.training_speed import Speed, Stopwatch, measure_speed


@pytest.mark.slow
def test_speeds_are_measured_and_grow_with_macs() -> None:
    config = load_config(None, ["supernet.batch_size=8", "final_training.batch_size=8"])
    found = measure_speed(Problem.load(config))
    assert found.supernet_s > 0
    assert 0 < found.network_seconds(0) <= found.network_seconds(10**6)


def test_seconds_of_a_network_are_linear_in_its_macs() -> None:
    assert Speed(supernet_s=1.0, network_s=2.0, network_s_per_mac=0.5).network_seconds(6) == 5.0


def test_stopwatch_goes_on_from_the_seconds_spent_before(monkeypatch) -> None:
    now = [100.0]
    monkeypatch.setattr(speed.time, "monotonic", lambda: now[0])
    watch = Stopwatch(30.0)
    now[0] = 112.0
    assert watch.seconds == 42.0
