"""A Ray cluster in network namespaces of this machine, whose cables are pulled in the middle of trials.

It takes minutes, and nodes may not start in time next to other processes, so it runs only on request:

    AEBNAS_BO_PULL_CABLES=1 python -m pytest tests/integration/test_pulled_cable.py
"""

import json
import os
import shutil
import subprocess
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.ray_programs import run_alone

AS_ROOT = () if os.geteuid() == 0 else ("--user", "--map-root-user")
ALONE = ("unshare", *AS_ROOT, "--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc")
PERMITTED = """
mount -t tmpfs none /run
ip netns add space
ip link add cable type veth peer name eth0 netns space
ip link add switch type bridge
"""  # what the scenario does
PULLED_S = 20
IS_ASKED_FOR = bool(os.environ.get("AEBNAS_BO_PULL_CABLES"))


def is_permitted() -> bool:
    if not IS_ASKED_FOR or not all(map(shutil.which, ("unshare", "ip"))):
        return False
    return subprocess.run([*ALONE, "sh", "-ec", PERMITTED], check=False, capture_output=True).returncode == 0


pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not IS_ASKED_FOR, reason="runs with AEBNAS_BO_PULL_CABLES=1 only"),
    pytest.mark.skipif(find_spec("ray") is None, reason="Ray is not installed: pip install 'aebnas_bo[ray]'"),
    pytest.mark.skipif(not is_permitted(), reason="network namespaces are not permitted, or iproute2 is not installed"),
]


def test_every_trial_is_completed_once_although_cables_are_pulled(tmp_path: Path) -> None:
    pulled = [f"worker1:{PULLED_S}", "head:8"]
    found = json.loads(
        run_alone(["tests.cable_scenario", str(tmp_path), *pulled], tmp_path, within=ALONE).splitlines()[-1]
    )
    worker, head = found["events"]
    # Another worker has completed the trial while the cable was pulled, and before Ray noticed it.
    assert worker["completed_after_s"][0] < PULLED_S
    assert len(worker["alive"]) == 3
    assert len(head["completed_after_s"]) == 2
    trials = found["trials"]
    assert {status for status, _, _ in trials} == {"COMPLETED"}
    assert found["points"] == len(trials)
    assert sum(attempt - 1 for _, attempt, _ in trials) == 3  # one on the worker, two behind the cable of the head
    assert found["authentication"] == "token"
