"""A search on a Ray cluster in three network namespaces, whose cables are pulled in the middle of trials.

Run it as a program in namespaces of its own, so that nothing of it is left at its end, with cables and the seconds for
which each is pulled. To turn token authentication on, set `RAY_AUTH_MODE=token`, and `RAY_AUTH_TOKEN_PATH` to a file
with 64 digits.

    unshare --net --mount --pid --fork --kill-child --mount-proc python -m tests.cable_scenario FOLDER worker1:20 head:8

One namespace contains the head of the cluster and the process that proposes trials, two others one worker each. Cables
connect them to a bridge.

Prints a JSON document: status and attempt of every trial, how often each was evaluated to its end, and for each cable
how long it took until the interrupted trials were completed, and which nodes Ray then regarded as alive.
"""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path

import ray

from aebnas_bo.execution.settings import ExecutionConfig
from aebnas_bo.search.trial import Trial
from tests.slow_trials import NOTES, TRIAL_S, busy_workers, description, search

HEAD, *WORKERS = NAMES = ("head", "worker1", "worker2")
PORT = 6379
LEASE_S = 4.0
AFTERWARDS_S = 2 * LEASE_S


def call(command: str) -> str:
    done = subprocess.run(command.split(), check=False, capture_output=True, text=True)
    if done.returncode:
        raise OSError(f"{command}: {done.stderr}")
    return done.stdout.strip()


def address(name: str) -> str:
    return f"10.77.0.{1 + NAMES.index(name)}"


def build_network() -> None:
    """Create the namespaces, and a cable from each to a bridge in this one."""
    call("mount -t tmpfs none /run")  # which contains the names of namespaces
    call("ip link add switch type bridge")
    call("ip link set switch up")
    for name in NAMES:
        call(f"ip netns add {name}")
        call(f"ip link add {name} type veth peer name eth0 netns {name}")
        call(f"ip link set {name} master switch up")
        call(f"ip -n {name} addr add {address(name)}/24 dev eth0")
        call(f"ip -n {name} link set eth0 up")
        call(f"ip -n {name} link set lo up")


def start_nodes() -> None:
    program = Path(sys.executable).with_name("ray")
    for name in NAMES:
        role = (
            f"--head --port {PORT} --include-dashboard false" if name == HEAD else f"--address {address(HEAD)}:{PORT}"
        )
        size = f"--num-cpus {int(name != HEAD)} --object-store-memory 80000000"
        call(f"ip netns exec {name} {program} start {role} {size} --node-ip-address {address(name)}")


def pull(name: str, *, is_out: bool) -> None:
    call(f"ip -n {name} link set eth0 {'down' if is_out else 'up'}")


class Cables:
    """Pulls cables while a search runs, and notes what happens.

    Args:
        folder: Folder of the study.
        seconds: For each cable, in order, its name and the seconds for which it is pulled.
    """

    def __init__(self, folder: Path, seconds: Sequence[tuple[str, float]]) -> None:
        self._folder, self._seconds = folder, seconds
        self._completed: dict[tuple[int, int], float] = {}
        self._end_at = math.inf
        self.events: list[dict[str, object]] = []

    def on_trial(self, trials: Sequence[Trial]) -> None:
        for trial in trials:
            choices = int(trial.parameters["a"]), int(trial.parameters["b"])
            self._completed.setdefault(choices, time.monotonic())

    def is_time_up(self) -> bool:
        return time.monotonic() > self._end_at

    def pull_all(self) -> None:
        for name, seconds in self._seconds:
            cut = {name} if name in WORKERS else {*WORKERS}
            interrupted = self._wait_for(cut)
            pull(name, is_out=True)
            pulled = time.monotonic()
            time.sleep(seconds)
            alive = sorted(node["NodeManagerAddress"] for node in ray.nodes() if node["Alive"])
            pull(name, is_out=False)
            while not all(choices in self._completed for choices in interrupted):
                time.sleep(0.05)
            after = [round(self._completed[choices] - pulled, 1) for choices in interrupted]
            self.events.append({"cable": name, "pulled_s": seconds, "completed_after_s": after, "alive": alive})
        alive_now = {node["NodeManagerAddress"] for node in ray.nodes() if node["Alive"]}
        self._wait_for({name for name in WORKERS if address(name) in alive_now})  # which work again
        self._end_at = time.monotonic() + AFTERWARDS_S

    def _wait_for(self, names: set[str]) -> list[tuple[int, int]]:
        """Wait until workers in all these namespaces have just begun a trial, and return the choices they evaluate."""
        while True:
            busy = {call(f"ip netns identify {pid}"): choices for pid, choices in busy_workers(self._folder).items()}
            if names <= busy.keys():
                return [busy[name] for name in sorted(names)]
            time.sleep(TRIAL_S / 20)


def main(folder: Path, seconds: Sequence[tuple[str, float]]) -> None:
    """Run the search in the namespace of the head."""
    (folder / NOTES).touch()
    cables = Cables(folder, seconds)
    begun = time.monotonic()
    threading.Thread(target=cables.pull_all, daemon=True).start()
    execution = ExecutionConfig(engine="ray", workers=2, lease_s=LEASE_S, address=f"{address(HEAD)}:{PORT}")
    trials = search(folder, execution, is_time_up=cables.is_time_up, on_trial=cables.on_trial)
    document = {
        "seconds": round(time.monotonic() - begun, 1),
        "events": cables.events,
        **description(folder, trials),
    }
    sys.stdout.write(json.dumps(document) + "\n")
    sys.stdout.flush()
    os._exit(0)


if __name__ == "__main__":
    _, given, *pulled = sys.argv
    if "--in-head" in pulled:
        main(Path(given), [(cable.split(":")[0], float(cable.split(":")[1])) for cable in pulled if ":" in cable])
    build_network()
    start_nodes()
    inside = ("ip", "netns", "exec", HEAD, sys.executable, "-m", "tests.cable_scenario", given, *pulled, "--in-head")
    sys.exit(subprocess.run(inside, check=False).returncode)
