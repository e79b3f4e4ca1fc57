import numpy as np
import pytest

from aebnas_bo.estimation.estimate import Estimate, Measurement, OperatingPoint
from aebnas_bo.search.objectives import Objective
from aebnas_bo.search.settings import SearchConfig
from aebnas_bo.space.search_space import ChoiceParameter, Condition, ContinuousParameter, Point, SearchSpace


class ToyEstimator:
    """A made-up trade-off: more genes cost more and help less; the exit saves cost at a threshold near 0.4."""

    def __init__(self) -> None:
        self.search_space = SearchSpace(
            (
                *(ChoiceParameter(f"gene{i}", (0, 1, 2), group=f"stage{i // 2}") for i in range(6)),
                ChoiceParameter("exit1_depth", (0, 1, 2), group="exit1"),
                ChoiceParameter(
                    "exit1_kind", ("a", "b", "c"), is_ordered=False, group="exit1",
                    active_when=Condition("exit1_depth", (1, 2)),
                ),
                ContinuousParameter(
                    "exit1_threshold", group="thresholds", active_when=Condition("exit1_depth", (1, 2))
                ),
            )
        )  # fmt: skip
        self.calls: list[dict] = []
        self.fail_at: set[int] = set()
        self.has_further = False

    def estimate(self, point: Point) -> Estimate:
        self.calls.append(dict(point))
        if len(self.calls) - 1 in self.fail_at:
            raise RuntimeError("made to fail")
        accuracy, macs = self.metrics(point)
        return Estimate(
            key=self.search_space.key(point),
            metrics={"accuracy": Measurement(accuracy, 0.5), "average_macs": Measurement(macs, 0.01)},
            exit_rates={"exit1": 0.5, "final": 0.5},
            further=tuple(self.further(point, threshold) for threshold in self.further_thresholds(point)),
        )

    @staticmethod
    def metrics(point: Point) -> tuple[float, float]:
        genes = sum(int(point[f"gene{i}"]) for i in range(6))
        accuracy, macs = 60.0 + 35.0 * float(np.tanh(genes / 6)), 1.0 + genes
        if point["exit1_depth"] != 0:
            threshold = float(point["exit1_threshold"])
            accuracy -= 20.0 * max(0.4 - threshold, 0.0)
            macs *= 0.5 + 0.5 * threshold
        return accuracy, macs

    def further_thresholds(self, point: Point) -> tuple[float, ...]:
        return (0.0, 0.4) if self.has_further and point["exit1_depth"] != 0 else ()

    def further(self, point: Point, threshold: float) -> OperatingPoint:
        accuracy, macs = self.metrics({**point, "exit1_threshold": threshold})
        return OperatingPoint(
            {"accuracy": accuracy, "average_macs": macs},
            {"accuracy": 0.5, "average_macs": 0.01},
            exit_rates={"exit1": 0.5, "final": 0.5},
            thresholds={"exit1_threshold": threshold},
        )


@pytest.fixture
def estimator() -> ToyEstimator:
    return ToyEstimator()


@pytest.fixture
def objectives() -> tuple[Objective, ...]:
    return (Objective("accuracy", True, 10.0, "%"), Objective("average_macs", False, 15.0, "M"))


@pytest.fixture
def settings() -> SearchConfig:
    return SearchConfig(budget=14, design_trials=8, mc_samples=16, pool_size=32, rounds=2, max_failed_trials=2)
