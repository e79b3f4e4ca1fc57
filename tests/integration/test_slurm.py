"""The script for Slurm, with stand-ins for Slurm's commands: two `nodes` are two Ray nodes on this machine."""

import os
import signal
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = ROOT / "docs" / "examples" / "slurm.sbatch"
STAND_INS = {
    "srun": 'while [[ $1 == --* ]]; do shift; done\nexec "$@"\n',
    "scontrol": "printf 'node1\\nnode2\\n'\n",
    "hostname": "echo 127.0.0.1\n",
    "aebnas-bo": f'exec {sys.executable} -m aebnas_bo.cli "$@"\n',
}

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(find_spec("ray") is None, reason="Ray is not installed: pip install 'aebnas_bo[ray]'"),
]


def test_the_script_searches_on_all_nodes_and_ends_ray(tmp_path: Path) -> None:
    tools = tmp_path / "bin"
    tools.mkdir()
    for name, text in STAND_INS.items():
        (tools / name).write_text(f"#!/bin/bash\n{text}")
        (tools / name).chmod(0o755)
    environment = {
        **os.environ,
        "PATH": f"{tools}:{Path(sys.executable).parent}:{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
        "HOME": str(tmp_path),
        "SLURM_JOB_ID": str(os.getpid()),
        "SLURM_JOB_NODELIST": "node[1-2]",
        "SLURM_JOB_NUM_NODES": "2",
        "SLURM_CPUS_PER_TASK": "1",
        "RAY_PORT": "6399",
        "RAY_raylet_start_wait_time_s": "120",
    }
    (tmp_path / "quick.yaml").write_text("search: {design_trials: 2, plain_first: false}\n")
    settings = ("data.max_train_images=300", "supernet.epochs=1", "supernet.cache=false", "search.budget=4")
    options = [part for setting in settings for part in ("--set", setting)]
    process = subprocess.Popen(
        ["bash", str(SCRIPT), str(tmp_path / "quick.yaml"), str(tmp_path / "run"), *options],
        env=environment, cwd=tmp_path, text=True, start_new_session=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    try:
        output, _ = process.communicate(timeout=600)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
    assert process.returncode == 0, output
    assert len((tmp_path / "run" / "trials.csv").read_text().splitlines()) == 1 + 4
    assert "workers: 2 workers on the Ray cluster 127.0.0.1:6399" in output
    assert not list(tmp_path.glob(".aebnas-ray-token-*"))
