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
from collections import Counter
from pathlib import Path

import ray
from ray.cluster_utils import Cluster

from aebnas_bo.estimation.estimate import Estimate, Measurement
from aebnas_bo.execution.ray_cluster import ray_cluster
from aebnas_bo.execution.ray_executor import RayExecutor
from aebnas_bo.execution.settings import ExecutionConfig
from aebnas_bo.search.objectives import Objective
from aebnas_bo.search.random_strategy import RandomStrategy
from aebnas_bo.search.remote_evaluation import RemoteEvaluation
from aebnas_bo.search.search_loop import run_search
from aebnas_bo.search.settings import SearchConfig
from aebnas_bo.search.study_record import StudyRecord
from aebnas_bo.search.trial_evaluation import Evaluation
from aebnas_bo.search.trial_store import TrialStore
from aebnas_bo.space.search_space import ChoiceParameter, SearchSpace

OBJECTIVES = (Objective("accuracy", True, 0.0, "%"), Objective("average_macs", False, 100.0, "M"))
SPACE = SearchSpace((ChoiceParameter("a", tuple(range(32))), ChoiceParameter("b", tuple(range(32)))))
SETTINGS = SearchConfig(strategy="random", budget=400, design_trials=2, proposals="asynchronous")
TRIAL_S = 1.0
EVENTS = ("kill", "remove", "add", "stop")
SETTLE_S = 2.0  # until the operating system has removed a killed process
AFTERWARDS_S = 8.0  # longer than the lease


class SlowEstimator:
    """Takes its time, and notes when it begins and ends."""

    search_space = SPACE

    def __init__(self, notes: Path) -> None:
        self.notes = notes

    def note(self, what: str, point) -> None:
        with self.notes.open("a") as file:
            file.write(f"{what} {os.getpid()} {point['a']} {point['b']}\n")

    def estimate(self, point) -> Estimate:
        self.note("begins", point)
        time.sleep(TRIAL_S)
        self.note("ends", point)
        return Estimate(
            f"{point['a']}-{point['b']}",
            {"accuracy": Measurement(50.0), "average_macs": Measurement(1.0 + point["a"])},
        )


def main(folder: Path) -> None:
    notes = folder / "notes"
    notes.touch()
    cluster = Cluster(
        initialize_head=True,
        head_node_args={"num_cpus": 0, "object_store_memory": 80_000_000, "include_dashboard": False},
    )
    nodes = [cluster.add_node(num_cpus=1, object_store_memory=80_000_000) for _ in range(2)]
    cluster.connect()
    execution = ExecutionConfig(engine="ray", workers=2, lease_s=4.0)
    log: list[str] = []
    begun = time.monotonic()
    end_at = [math.inf]
    is_to_add, is_added = threading.Event(), threading.Event()

    def busy_workers() -> list[int]:
        last = {}
        for line in notes.read_text().splitlines():
            what, pid, *_ = line.split()
            last[int(pid)] = what
        return [pid for pid, what in last.items() if what == "begins" and _is_alive(pid)]

    def lose_workers() -> None:
        """Let every event happen once both workers are in the middle of a trial; a new node is added at once."""
        for event in EVENTS:
            while len(busy_workers()) < (1 if event == "add" else 2):
                time.sleep(0.05)
            log.append(f"{time.monotonic() - begun:.1f} s: {event}")
            if event == "remove":
                cluster.remove_node(nodes[0])
            elif event == "add":
                is_to_add.set()
                is_added.wait()
            else:
                os.kill(busy_workers()[0], signal.SIGKILL if event == "kill" else signal.SIGSTOP)
            time.sleep(SETTLE_S)
        end_at[0] = time.monotonic() + AFTERWARDS_S

    def is_time_up() -> bool:
        """Add a node if one is to be added, which only the main thread can do."""
        if is_to_add.is_set() and not is_added.is_set():
            cluster.add_node(num_cpus=1, object_store_memory=80_000_000)
            is_added.set()
        return time.monotonic() > end_at[0]

    threading.Thread(target=lose_workers, daemon=True).start()
    record = StudyRecord("toy", 0, "f", "", OBJECTIVES)
    with ray_cluster(execution) as module, TrialStore.create(folder / "study.db", record) as store:
        executor = RayExecutor(module, RemoteEvaluation(SlowEstimator(notes), OBJECTIVES), execution)
        evaluation = Evaluation(SPACE, executor, lease_s=execution.lease_s)
        try:
            run_search(
                store, RandomStrategy(SPACE, 0), evaluation,
                settings=SETTINGS, on_trial=lambda trials: None, is_time_up=is_time_up,
            )  # fmt: skip
        finally:
            executor.close()
        stored = store.trials()
    ended = Counter(tuple(line.split()[2:]) for line in notes.read_text().splitlines() if line.startswith("ends"))
    document = {
        "seconds": round(time.monotonic() - begun, 1),
        "events": log,
        "trials": [[trial.status, trial.attempt, trial.reason] for trial in stored],
        "points": len({SPACE.key(trial.parameters) for trial in stored}),
        "ended": [ended[str(trial.parameters["a"]), str(trial.parameters["b"])] for trial in stored],
        "authentication": os.environ.get("RAY_AUTH_MODE"),
    }
    sys.stdout.write(json.dumps(document) + "\n")
    ray.shutdown()
    cluster.shutdown()


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


if __name__ == "__main__":
    main(Path(sys.argv[1]))
