from pathlib import Path

import pytest
import torch

ROOT = Path(__file__).resolve().parents[1]
CIFAR10 = ROOT.parent / "shared" / "data" / "cifar10-jpeg.tar.xz"


@pytest.fixture(autouse=True, scope="session")
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture
def cifar10() -> Path:
    if not CIFAR10.exists():
        pytest.skip(f"the shared CIFAR-10 archive {CIFAR10.name} is not on this machine")
    return CIFAR10
