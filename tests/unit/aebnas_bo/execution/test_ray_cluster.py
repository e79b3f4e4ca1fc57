import socket

import pytest

from aebnas_bo.errors import ConfigError
from aebnas_bo.execution import ray_cluster as module
from aebnas_bo.execution.ray_cluster import check_cluster, check_ray, check_size
from aebnas_bo.execution.settings import ExecutionConfig

NODES = [{"CPU": 8.0, "GPU": 2.0}, {"CPU": 4.0}]


def settings(**given) -> ExecutionConfig:
    return ExecutionConfig(engine="ray", **given)


@pytest.mark.parametrize(
    "given",
    [
        {"workers": 12},
        {"workers": 24, "cpus_per_worker": 0.5},
        {"workers": 8, "gpus_per_worker": 0.25},
        {"workers": 1, "gpus_per_worker": 2.0},
    ],
)
def test_workers_that_fit(given) -> None:
    check_size(settings(**given), NODES)


@pytest.mark.parametrize(
    ("given", "fitting"),
    [
        ({"workers": 13}, 12),
        ({"workers": 9, "gpus_per_worker": 0.25}, 8),
        ({"workers": 2, "cpus_per_worker": 6.0}, 1),  # 12 CPUs, but on two nodes
        ({"workers": 1, "gpus_per_worker": 4.0}, 0),
    ],
)
def test_workers_that_do_not_fit_are_refused_at_once(given, fitting) -> None:
    with pytest.raises(ConfigError, match=rf"which has 12 CPUs and 2 GPUs on 2 nodes: {fitting} fit; set fewer"):
        check_size(settings(**given), NODES)


def test_a_missing_ray_names_the_extra(monkeypatch) -> None:
    monkeypatch.setattr(module, "find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"pip install 'aebnas_bo\[ray\]'"):
        check_ray()


def test_a_cluster_on_this_machine_is_checked_before_it_is_started(monkeypatch) -> None:
    monkeypatch.setattr(module, "check_ray", lambda: None)
    monkeypatch.setattr(module.os, "cpu_count", lambda: 2)
    check_cluster(settings(workers=4, cpus_per_worker=0.5))
    with pytest.raises(ConfigError, match="has 2 CPUs and 0 GPUs on 1 node: 2 fit"):
        check_cluster(settings(workers=3))


def test_an_address_where_nothing_answers_is_refused_at_once() -> None:
    class Ray:
        def init(self, **_) -> None:
            raise AssertionError("Ray would try for many minutes")

    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    with pytest.raises(ConfigError, match=f"nothing answers at 127.0.0.1:{port}"):
        module._connect(Ray(), settings(address=f"127.0.0.1:{port}"), "folder")
