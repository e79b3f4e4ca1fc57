"""Test functions of BoTorch as search problems: bounds, directions, constraints, best hypervolumes."""

import math

import numpy as np
import pytest
from pymoo.indicators.hv import HV

from aebnas_bo.search.objectives import misses, optimized
from aebnas_bo.testing.estimator_contract import EstimatorContract
from benchmarks.problem import load_problem
from benchmarks.published_functions import FUNCTIONS, FunctionEstimator

SHAPES = {
    "dtlz2": (6, 2, 0),
    "vehicle-safety": (5, 3, 0),
    "disc-brake": (4, 2, 4),
    "c2-dtlz2": (4, 2, 1),
    "mw7": (4, 2, 2),
    "penicillin": (7, 3, 0),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_numbers_of_parameters_objectives_and_constraints(name) -> None:
    problem = load_problem(f"function/{name}")
    num_goals = len(optimized(problem.objectives))
    assert (len(problem.space.names), num_goals, len(problem.objectives) - num_goals) == SHAPES[name]
    point = problem.space.sample(np.random.default_rng(0))
    assert set(problem.estimator.estimate(point).metrics) == {objective.name for objective in problem.objectives}
    assert problem.best_hypervolume > 0.0


def metrics(name: str, point: list[float]) -> dict[str, float]:
    estimator = FunctionEstimator(FUNCTIONS[name])
    estimate = estimator.estimate(dict(zip(estimator.search_space.names, point, strict=True)))
    return {key: one.mean for key, one in estimate.metrics.items()}


def test_the_front_of_dtlz2_has_the_stated_hypervolume() -> None:
    angles = np.linspace(0.0, 1.0, 801)
    front = np.array([list(metrics("dtlz2", [x, *[0.5] * 5]).values()) for x in angles])
    assert np.linalg.norm(front, axis=1) == pytest.approx(1.0)
    assert HV(ref_point=np.array([1.1, 1.1]))(front) == pytest.approx(1.21 - math.pi / 4, abs=2e-3)
    assert FunctionEstimator(FUNCTIONS["dtlz2"]).best_hypervolume == pytest.approx(1.21 - math.pi / 4)


def test_the_front_of_mw7_has_the_stated_hypervolume() -> None:
    angles = np.linspace(0.0, np.pi / 2.0, 2001)
    radius = np.maximum(1.0, 1.15 - 0.2 * np.sin(4.0 * angles) ** 8)  # the sphere, and where a constraint cuts it
    front = np.stack([radius * np.cos(angles), radius * np.sin(angles)], axis=1)
    best = FunctionEstimator(FUNCTIONS["mw7"]).best_hypervolume
    assert HV(ref_point=np.array([1.2, 1.2]))(front) == pytest.approx(best, abs=1e-3)
    x = [float(np.cos(np.pi / 8.0))]  # on the front: the sine is 1
    for _ in range(3):
        x.append(1.0 - (x[-1] - 0.5) ** 2)
    on_front = metrics("mw7", x)
    assert [on_front["f1"], on_front["f2"]] == pytest.approx([np.cos(np.pi / 8.0), np.sin(np.pi / 8.0)])


def test_the_yield_of_penicillin_is_maximised() -> None:
    yielded, co2, time = FunctionEstimator(FUNCTIONS["penicillin"]).objectives
    assert (yielded.name, yielded.maximize, yielded.reference) == ("produced", True, -25.935)
    assert (co2.maximize, time.maximize) == (False, False)


def test_a_disc_with_rings_too_close_violates_a_constraint() -> None:
    objectives = FunctionEstimator(FUNCTIONS["disc-brake"]).objectives
    feasible = metrics("disc-brake", [70.0, 100.0, 2000.0, 15.0])
    close = metrics("disc-brake", [80.0, 95.0, 2000.0, 15.0])  # 20 apart at least
    assert feasible["mass"] == pytest.approx(4.9e-5 * (100.0**2 - 70.0**2) * 14.0)
    assert close["mass"] == pytest.approx(4.9e-5 * (95.0**2 - 80.0**2) * 14.0)  # not penalised
    assert misses(feasible, objectives) == {}
    assert misses(close, objectives) == pytest.approx({"slack1": 5.0})


class TestFunctionEstimator(EstimatorContract):
    @pytest.fixture
    def estimator(self) -> FunctionEstimator:
        return FunctionEstimator(FUNCTIONS["c2-dtlz2"])
