"""A search on a Ray cluster of three nodes on this machine, in which workers and nodes are lost; run as a program.

Prints a JSON document: status and attempt of every trial, and how often each was evaluated to its end.
"""

import json
import math
import os
import signal
import sys
import threading
import time
from pathlib import Path

import ray
from ray.cluster_utils import Cluster

from aebnas_bo.execution.settings import ExecutionConfig
from tests.slow_trials import NOTES, busy_workers, description, search

EVENTS = ("kill", "remove", "add", "stop")
SETTLE_S = 2.0  # until the operating system has removed a killed process
AFTERWARDS_S = 8.0  # longer than the lease


def main(folder: Path) -> None:
    (folder / NOTES).touch()
    cluster = Cluster(
        initialize_head=True,
        head_node_args={"num_cpus": 0, "object_store_memory": 80_000_000, "include_dashboard": False},
    )
    nodes = [cluster.add_node(num_cpus=1, object_store_memory=80_000_000) for _ in range(2)]
    cluster.connect()
    log: list[str] = []
    begun = time.monotonic()
    end_at = [math.inf]
    is_to_add, is_added = threading.Event(), threading.Event()

    def lose_workers() -> None:
        """Let every event happen once both workers are in the middle of a trial; a new node is added at once."""
        for event in EVENTS:
            while len(busy_workers(folder)) < (1 if event == "add" else 2):
                time.sleep(0.05)
            log.append(f"{time.monotonic() - begun:.1f} s: {event}")
            if event == "remove":
                cluster.remove_node(nodes[0])
            elif event == "add":
                is_to_add.set()
                is_added.wait()
            else:
                os.kill(next(iter(busy_workers(folder))), signal.SIGKILL if event == "kill" else signal.SIGSTOP)
            time.sleep(SETTLE_S)
        end_at[0] = time.monotonic() + AFTERWARDS_S

    def is_time_up() -> bool:
        """Add a node if one is to be added, which only the main thread can do."""
        if is_to_add.is_set() and not is_added.is_set():
            cluster.add_node(num_cpus=1, object_store_memory=80_000_000)
            is_added.set()
        return time.monotonic() > end_at[0]

    threading.Thread(target=lose_workers, daemon=True).start()
    trials = search(folder, ExecutionConfig(engine="ray", workers=2, lease_s=4.0), is_time_up=is_time_up)
    document = {"seconds": round(time.monotonic() - begun, 1), "events": log, **description(folder, trials)}
    sys.stdout.write(json.dumps(document) + "\n")
    ray.shutdown()
    cluster.shutdown()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
