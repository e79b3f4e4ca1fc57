"""Supernets trained in several processes, started by the run and by torchrun."""

import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from .conftest import SMALL

pytestmark = pytest.mark.slow


def test_torchrun_and_the_run_itself_train_the_same_supernet(tmp_path: Path, environment, run, call) -> None:
    settings = ["--budget=5", "--set=supernet.cache=false", "--quiet"]
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    command = [
        sys.executable, "-m", "torch.distributed.run", "--nproc-per-node=2", "--master-addr=127.0.0.1",
        f"--master-port={port}", "-m", "aebnas_bo.run", *SMALL, *settings, "--out=a",
    ]  # fmt: skip
    done = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=900, check=False
    )
    assert done.returncode == 0, done.stderr
    assert run(*settings, "--out=b", "--processes=2").returncode == 0
    one, other = (load_file(tmp_path / name / "supernet.safetensors") for name in ("a", "b"))
    assert one.keys() == other.keys()
    assert all(torch.equal(one[name], other[name]) for name in one)
    refused = call("run", "--out=b", "--resume", "--processes=1", "--quiet")
    assert refused.returncode == 3
    assert "supernet.processes" in refused.stderr
    trained = call(
        "train", "b", "--processes=2", "--epochs=2", "--no-plain", "--quiet", "--set=final_training.batch_size=32"
    )
    assert trained.returncode == 0
