from dataclasses import replace

import pytest

from aebnas_bo.estimation.estimate import FurtherSetting
from aebnas_bo.search.objectives import Objective
from aebnas_bo.search.trial import Trial


def make_trial(number: int, accuracy: float, macs: float, status: str = "COMPLETED") -> Trial:
    done = status == "COMPLETED"
    return Trial(
        number,
        f"key{number}" if done else "",
        status,  # type: ignore[arg-type]
        {"exit1_depth": number % 2, "exit1_threshold": 0.25},
        reason="" if done else "RuntimeError: two\nlines, and a comma",
        metrics={"accuracy": accuracy, "average_macs": macs} if done else {},
        sems={"accuracy": 0.5, "average_macs": 0.0} if done else {},
        details={"exit1_rate": 0.3, "final_rate": 0.7} if done else {},
        generation_s=0.1,
        evaluation_s=0.2,
    )


def make_setting(threshold: float, accuracy: float, macs: float) -> FurtherSetting:
    return FurtherSetting(
        thresholds={"exit1_threshold": threshold},
        metrics={"accuracy": accuracy, "average_macs": macs},
        sems={"accuracy": 0.4, "average_macs": 0.0},
        details={"exit1_rate": 0.6, "final_rate": 0.4},
    )


@pytest.fixture
def objectives() -> tuple[Objective, ...]:
    return (Objective("accuracy", True, 10.0, "%"), Objective("average_macs", False, 5.0, "M"))


@pytest.fixture
def trials() -> list[Trial]:
    """Trial 3 failed, 4 is dominated, 5 is worse than the reference, 6 equals 1."""
    return [
        make_trial(0, 50.0, 2.0),
        make_trial(1, 90.0, 4.0),
        make_trial(2, 70.0, 3.0),
        make_trial(3, 0.0, 0.0, "FAILED"),
        make_trial(4, 60.0, 3.5),
        make_trial(5, 5.0, 0.1),
        make_trial(6, 90.0, 4.0),
    ]


@pytest.fixture
def three(objectives) -> tuple[Objective, ...]:
    return (*objectives, Objective("latency_ms", False, 10.0, "ms"))


@pytest.fixture
def timed(trials) -> list[Trial]:
    """The same trials with latencies, which put trial 4 on the front."""
    latencies = {0: 6.0, 1: 4.0, 2: 5.0, 4: 1.0, 5: 9.0, 6: 4.0}
    return [
        replace(t, metrics={**t.metrics, "latency_ms": latencies[t.number]}, sems={**t.sems, "latency_ms": 0.0})
        if t.number in latencies
        else t
        for t in trials
    ]
