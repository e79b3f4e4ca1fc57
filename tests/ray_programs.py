"""Programs on Ray clusters that tests start: alone, and with tokens."""

import os
import secrets
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
LONGEST_S = 600


def environment(folder: Path) -> dict[str, str]:
    """Return an environment in which clusters have a token of their own."""
    token = folder / "token"
    token.write_text(secrets.token_hex(32))
    return {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN_PATH": str(token),
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_raylet_start_wait_time_s": "120",
        "RAY_worker_niceness": "0",
        "OMP_NUM_THREADS": "1",
    }


def run_alone(arguments: Sequence[str], folder: Path, *, within: Sequence[str] = ()) -> str:
    """Run a module in a session of its own, end what it leaves, and return its output.

    Args:
        arguments: The module and its arguments.
        folder: Working directory.
        within: Command that runs the program.
    """
    process = subprocess.Popen(
        [*within, sys.executable, "-m", *arguments],
        env=environment(folder), cwd=folder, text=True, start_new_session=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    try:
        output, errors = process.communicate(timeout=LONGEST_S)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
    assert process.returncode == 0, errors
    return output
