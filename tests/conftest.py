import os
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, settings

from aebnas_bo.execution.cpu import set_up_cpu
from aebnas_bo.space.backbone_pool import BackbonePool, backbone_pool
from aebnas_bo.space.network_space import NetworkSpace
from aebnas_bo.storage.run_folder import RunFolder
from tests.postgresql_server import NEEDED, PostgresqlServer, binaries, postgresql_server

ROOT = Path(__file__).resolve().parents[1]
CIFAR10 = ROOT.parent / "shared" / "data" / "cifar10-jpeg.tar.xz"

# The same examples in every run, so that a failure is due to the change at hand; a busy machine is no failure.
settings.register_profile(
    "tests", max_examples=60, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("tests")

MakeRun = Callable[..., RunFolder]

# Whole runs, which take seconds to make: every test that needs one is slow, whether it says so or not.
SLOW_FIXTURES = {"postgresql", "tiny_runs", "finished_run", "make_runner", "finished", "run"}


@pytest.hookimpl(tryfirst=True)  # before `-m "not slow"` chooses
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if SLOW_FIXTURES.intersection(getattr(item, "fixturenames", ())):
            item.add_marker("slow")


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    if torch.get_num_threads() > 1:  # at the start, and after a test of a command that took more
        set_up_cpu(1)


@pytest.fixture(scope="session", autouse=True)
def _backbones_are_drawn_once() -> Iterator[None]:
    """Keeps the backbones that supernets are trained on: most tests train on one space, and a draw takes 0.5 s."""
    kept: dict[object, BackbonePool] = {}

    def kept_pool(space: NetworkSpace, seed: int, max_macs: float | None) -> BackbonePool:
        key = (space.declaration.model_dump_json(), space.skeleton, seed, max_macs)
        if key not in kept:
            kept[key] = backbone_pool(space, seed, max_macs)
        return kept[key]

    with pytest.MonkeyPatch.context() as patch:
        for name in ("supernet.supernet_training", "preparation.supernet_preparation", "study.training_speed"):
            if module := sys.modules.get(f"aebnas_bo.{name}"):  # imported with the tests that need it
                patch.setattr(module, "backbone_pool", kept_pool)
        yield


@pytest.fixture(scope="session")
def postgresql() -> Iterator[PostgresqlServer]:
    """A running server; every test creates databases of its own."""
    if binaries() is None and not os.environ.get(NEEDED):
        pytest.skip("PostgreSQL's initdb is not on this machine (Debian: apt-get install postgresql)")
    with postgresql_server() as server:
        yield server


@pytest.fixture
def cifar10() -> Path:
    if not CIFAR10.exists():
        pytest.skip(f"the shared CIFAR-10 archive {CIFAR10.name} is not on this machine")
    return CIFAR10


@pytest.fixture(scope="session")
def tiny_runs(tmp_path_factory: pytest.TempPathFactory) -> MakeRun:
    """Returns finished runs of these settings, made once."""
    from .tiny_run import write_tiny_run  # here, as Ax takes seconds to import and most tests do without

    made: dict[tuple[str, ...], RunFolder] = {}

    def make(*settings: str) -> RunFolder:
        if settings not in made:
            made[settings] = RunFolder(tmp_path_factory.mktemp("runs") / "tiny")
            write_tiny_run(made[settings], settings)
        return made[settings]

    return make


@pytest.fixture
def tiny_run(tiny_runs: MakeRun, tmp_path: Path) -> MakeRun:
    """Returns a copy of a finished run of these settings, to be damaged at will."""

    def make(*settings: str) -> RunFolder:
        return RunFolder(Path(shutil.copytree(tiny_runs(*settings).path, tmp_path / "run")))

    return make
