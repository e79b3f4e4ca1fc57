"""A search with slow trials on a Ray cluster, whose workers note when they begin and end an evaluation."""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from aebnas_bo.estimation.estimate import Estimate, Measurement
from aebnas_bo.execution.ray_cluster import ray_cluster
from aebnas_bo.execution.ray_executor import RayExecutor
from aebnas_bo.execution.settings import ExecutionConfig
from aebnas_bo.search.objectives import Objective
from aebnas_bo.search.random_strategy import RandomStrategy
from aebnas_bo.search.remote_evaluation import RemoteEvaluation
from aebnas_bo.search.search_loop import OnTrial, run_search
from aebnas_bo.search.settings import SearchConfig
from aebnas_bo.search.study_record import StudyRecord
from aebnas_bo.search.trial import Trial
from aebnas_bo.search.trial_evaluation import Evaluation
from aebnas_bo.search.trial_store import TrialStore
from aebnas_bo.space.search_space import ChoiceParameter, SearchSpace

OBJECTIVES = (Objective("accuracy", True, 0.0, "%"), Objective("average_macs", False, 100.0, "M"))
SPACE = SearchSpace((ChoiceParameter("a", tuple(range(32))), ChoiceParameter("b", tuple(range(32)))))
SETTINGS = SearchConfig(strategy="random", budget=400, design_trials=2, proposals="asynchronous")
TRIAL_S = 1.0
NOTES = "notes"  # file of the evaluations, in the folder of the study


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


def busy_workers(folder: Path) -> dict[int, tuple[int, int]]:
    """Return the processes that are in the middle of an evaluation, with the choices that each evaluates."""
    last = {}
    for line in (folder / NOTES).read_text().splitlines():
        what, pid, a, b = line.split()
        last[int(pid)] = what, (int(a), int(b))
    return {pid: choices for pid, (what, choices) in last.items() if what == "begins" and _is_alive(pid)}


def search(
    folder: Path,
    execution: ExecutionConfig,
    *,
    is_time_up: Callable[[], bool],
    on_trial: OnTrial = lambda trials: None,
) -> list[Trial]:
    """Run a search on a cluster and return the trials that were stored."""
    record = StudyRecord("toy", 0, "f", "", OBJECTIVES)
    with ray_cluster(execution) as module, TrialStore.create(folder / "study.db", record) as store:
        executor = RayExecutor(module, RemoteEvaluation(SlowEstimator(folder / NOTES), OBJECTIVES), execution)
        evaluation = Evaluation(SPACE, executor, lease_s=execution.lease_s)
        try:
            run_search(
                store, RandomStrategy(SPACE, 0), evaluation,
                settings=SETTINGS, on_trial=on_trial, is_time_up=is_time_up,
            )  # fmt: skip
        finally:
            executor.close()
        return store.trials()


def description(folder: Path, trials: list[Trial]) -> dict[str, object]:
    """Return status and attempt of every trial, the number of distinct points, and how often each was evaluated."""
    lines = (folder / NOTES).read_text().splitlines()
    ended = Counter(tuple(line.split()[2:]) for line in lines if line.startswith("ends"))
    return {
        "trials": [[trial.status, trial.attempt, trial.reason] for trial in trials],
        "points": len({SPACE.key(trial.parameters) for trial in trials}),
        "ended": [ended[str(trial.parameters["a"]), str(trial.parameters["b"])] for trial in trials],
        "authentication": os.environ.get("RAY_AUTH_MODE"),
    }


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
