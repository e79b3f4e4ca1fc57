import pytest

from aebnas_bo.estimation.estimate import OperatingPoint
from aebnas_bo.search.objectives import Objective
from aebnas_bo.search.trial import Trial
from tests.made_trials import with_metrics


def make_trial(number: int, accuracy: float, macs: float, status: str = "COMPLETED") -> Trial:
    done = status == "COMPLETED"
    return Trial(
        number,
        f"key{number}" if done else "",
        status,  # type: ignore[arg-type]
        {"exit1_depth": number % 2, "exit1_threshold": 0.25},
        reason="" if done else "RuntimeError: two\nlines, and a comma",
        points=(make_point(0.25, accuracy, macs, sem=0.5, leaving=0.3),) if done else (),
        generation_s=0.1,
        evaluation_s=0.2,
    )


def make_point(
    threshold: float, accuracy: float, macs: float, *, sem: float = 0.4, leaving: float = 0.6
) -> OperatingPoint:
    return OperatingPoint(
        metrics={"accuracy": accuracy, "average_macs": macs},
        sems={"accuracy": sem, "average_macs": 0.0},
        exit_rates={"exit1": leaving, "final": 1.0 - leaving},
        thresholds={"exit1_threshold": threshold},
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
        with_metrics(trial, latency_ms=latencies[trial.number]) if trial.number in latencies else trial
        for trial in trials
    ]
