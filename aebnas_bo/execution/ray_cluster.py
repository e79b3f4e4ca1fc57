"""Connection to a Ray cluster, and the check that it is large enough.

This module and `ray_executor.py` are the only ones that import Ray, and only when a cluster is used.
"""

from __future__ import annotations

import logging
import math
import os
import socket
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from types import ModuleType

from aebnas_bo.errors import ConfigError, ExecutionError, reason_of
from aebnas_bo.execution.settings import ExecutionConfig
from aebnas_bo.storage.count_text import counted

START_S = "120"  # seconds that a node may take to start; Ray's 30 are too few on a busy machine
ANSWER_S = 10.0  # seconds that a cluster may take to accept a connection
LOCAL = ("local", None)
FOLDER_PREFIX = "ab-ray-"  # short: the paths of Ray's sockets have at most 107 bytes


def check_ray() -> None:
    """Check that Ray is installed.

    Raises:
        ConfigError: If it is not.
    """
    if find_spec("ray") is None:
        raise ConfigError("execution.engine: ray needs Ray: pip install 'aebnas_bo[ray]'")


@contextmanager
def ray_cluster(settings: ExecutionConfig) -> Iterator[ModuleType]:
    """Connect to a Ray cluster, or start one on this machine; it is left, or ended, at the end of the block.

    A cluster that this process uses already is used as it is. Token authentication is on for a cluster that is started
    here, unless `RAY_AUTH_MODE` says otherwise; to connect to a cluster with tokens, set `RAY_AUTH_MODE=token` and
    `RAY_AUTH_TOKEN_PATH`.

    Args:
        settings: Address, and number and size of the workers.

    Yields:
        The module `ray`.

    Raises:
        ConfigError: If Ray is not installed, no cluster answers at the address, or the cluster is too small.
        ExecutionError: If a cluster on this machine does not start.
    """
    check_ray()
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    if settings.address in LOCAL:
        os.environ.setdefault("RAY_AUTH_MODE", "token")
    os.environ.setdefault("RAY_raylet_start_wait_time_s", START_S)
    os.environ.setdefault("RAY_worker_niceness", "0")  # Ray's 15 leaves workers little beside other programs
    import ray  # noqa: PLC0415  an extra, slow to import

    is_ours = not ray.is_initialized()
    with tempfile.TemporaryDirectory(prefix=FOLDER_PREFIX, ignore_cleanup_errors=True) as folder:
        if is_ours:
            _connect(ray, settings, folder)
        try:
            check_size(settings, [node["Resources"] for node in ray.nodes() if node["Alive"]])
            yield ray
        finally:
            if is_ours:
                ray.shutdown()


def check_cluster(settings: ExecutionConfig) -> None:
    """Check, before long preparations, that workers will be there: Ray is installed and the cluster large enough.

    Args:
        settings: Address, and number and size of the workers.

    Raises:
        ConfigError: If not.
    """
    check_ray()
    if settings.address in LOCAL:
        check_size(settings.model_copy(update={"gpus_per_worker": 0.0}), [{"CPU": float(os.cpu_count() or 1)}])
        return
    with ray_cluster(settings):
        pass


def _connect(ray: ModuleType, settings: ExecutionConfig, folder: str) -> None:
    _check_answers(settings.address)
    common = {"logging_level": logging.WARNING, "log_to_driver": False}
    try:
        if settings.address in LOCAL:
            ray.init(
                address="local",
                include_dashboard=False,
                object_store_memory=settings.object_store_mb * 1_000_000,
                _temp_dir=folder,
                **common,
            )
        else:
            ray.init(address=settings.address, **common)
    except Exception as error:  # Ray raises errors of many types, also plain `Exception`
        if settings.address in LOCAL:
            raise ExecutionError(
                f"no Ray cluster could be started on this machine ({reason_of(error)}); it may be too busy: run the "
                "same command again later, or with --set execution.engine=serial"
            ) from error
        raise ConfigError(
            f"execution.address: no Ray cluster can be used at {settings.address} ({reason_of(error)}); "
            "start one with `ray start --head`, give HOST:PORT of its head, and set RAY_AUTH_MODE and "
            "RAY_AUTH_TOKEN_PATH as on its nodes"
        ) from error


def _check_answers(address: str | None) -> None:
    """Check that something answers at HOST:PORT; Ray would try for many minutes."""
    host, _, port = (address or "").rpartition(":")
    if not host or "/" in host or not port.isdigit():
        return  # `auto`, `local`, or a URL
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=ANSWER_S).close()
    except (OSError, OverflowError) as error:
        raise ConfigError(
            f"execution.address: nothing answers at {address} ({reason_of(error)}); start a cluster there with `ray "
            "start --head`, or give HOST:PORT of its head"
        ) from error


def check_size(settings: ExecutionConfig, nodes: Sequence[Mapping[str, float]]) -> None:
    """Check that all workers fit on the nodes of a cluster.

    Args:
        settings: Number and size of the workers.
        nodes: Resources of each node: `CPU`, and `GPU` if it has any.

    Raises:
        ConfigError: If they do not fit.
    """
    fitting = sum(min(_fitting(node, "CPU", settings), _fitting(node, "GPU", settings)) for node in nodes)
    if fitting >= settings.workers:
        return
    cpus, gpus = (sum(node.get(name, 0.0) for node in nodes) for name in ("CPU", "GPU"))
    raise ConfigError(
        f"execution.workers: {settings.workers} workers of {settings.cpus_per_worker:g} CPUs and "
        f"{settings.gpus_per_worker:g} GPUs do not fit on the Ray cluster, which has {cpus:g} CPUs and {gpus:g} GPUs "
        f"on {counted(len(nodes), 'node')}: {fitting} fit; set fewer execution.workers, or smaller cpus_per_worker and "
        "gpus_per_worker"
    )


def _fitting(node: Mapping[str, float], resource: str, settings: ExecutionConfig) -> int:
    wanted = settings.cpus_per_worker if resource == "CPU" else settings.gpus_per_worker
    if not wanted:
        return settings.workers
    return math.floor(node.get(resource, 0.0) / wanted + 1e-9)
