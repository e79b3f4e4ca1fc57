"""BoTorch's multi-objective test functions as search problems of continuous parameters.

Reference points and best hypervolumes are those that BoTorch states. Two functions have no best hypervolume: for MW7 it
is that of its front, in closed form, and for DiscBrake the largest one that pymoo's NSGA-II found in 200,000
evaluations with the constraints given.

The slacks of a constrained function are metrics of their own, `slack1`, `slack2` ..., each with the constraint to be at
least 0. An infeasible point adds nothing to the hypervolume.

References:
    S. Daulton, M. Balandat, E. Bakshy. Differentiable Expected Hypervolume Improvement for Parallel Multi-Objective
    Bayesian Optimization. NeurIPS 2020.
    R. Tanabe, H. Ishibuchi. An Easy-to-use Real-world Multi-objective Optimization Problem Suite. Applied Soft
    Computing 2020 (VehicleSafety, DiscBrake).
    Q. Liang, L. Lai. Scalable Bayesian Optimization Accelerates Process Optimization of Penicillin Production. NeurIPS
    2021 workshop (Penicillin).
    Z. Ma, Y. Wang. Evolutionary Constrained Multiobjective Optimization: Test Suite Construction and Performance
    Comparisons. IEEE TEVC 2019 (MW7).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from botorch.test_functions.base import ConstrainedBaseTestProblem, MultiObjectiveTestProblem
from botorch.test_functions.multi_objective import C2DTLZ2, DTLZ2, MW7, DiscBrake, Penicillin, VehicleSafety

from aebnas_bo.estimation.estimate import Estimate, Measurement
from aebnas_bo.search.objectives import Objective, constraint
from aebnas_bo.space.search_space import ContinuousParameter, Point, SearchSpace


@dataclass(frozen=True)
class PublishedFunction:
    """A test function of BoTorch.

    Args:
        make: Makes the function; all its objectives are minimised.
        objectives: Names of the objectives. One that begins with `-` is the negative of a quantity to maximise, which
            is reported under the name without the sign.
        best: Best hypervolume known; `None` takes BoTorch's.
    """

    make: Callable[[], MultiObjectiveTestProblem]
    objectives: tuple[str, ...]
    best: float | None = None


FUNCTIONS = {
    "dtlz2": PublishedFunction(lambda: DTLZ2(dim=6, num_objectives=2), ("f1", "f2")),
    "vehicle-safety": PublishedFunction(VehicleSafety, ("mass", "acceleration", "intrusion")),
    "disc-brake": PublishedFunction(DiscBrake, ("mass", "stopping_time"), best=11.1942),
    "c2-dtlz2": PublishedFunction(lambda: C2DTLZ2(dim=4, num_objectives=2), ("f1", "f2")),
    "mw7": PublishedFunction(lambda: MW7(dim=4), ("f1", "f2"), best=0.5043),
    "penicillin": PublishedFunction(Penicillin, ("-produced", "co2", "time")),
}


class FunctionEstimator:
    """Estimator that evaluates a test function without noise.

    Args:
        function: The function.
    """

    def __init__(self, function: PublishedFunction) -> None:
        self._function = function.make()
        self._names = function.objectives
        lower, upper = self._function.bounds.tolist()
        self.search_space = SearchSpace(
            tuple(ContinuousParameter(f"x{i}", *ends) for i, ends in enumerate(zip(lower, upper, strict=True), start=1))
        )
        self.reference = self._function.ref_point
        self.best_hypervolume = function.best if function.best is not None else float(self._function.max_hv)

    @property
    def objectives(self) -> tuple[Objective, ...]:
        """Directions and reference point, then the constraints."""
        # An infeasible point may have a cost below 0: DiscBrake then has rings in the wrong order.
        possible = (-math.inf, math.inf) if self._slack_names else None
        objectives = tuple(
            Objective(
                name.removeprefix("-"),
                name.startswith("-"),
                -value if name.startswith("-") else value,
                possible=possible,
            )
            for name, value in zip(self._names, self.reference.tolist(), strict=True)
        )
        return (*objectives, *(constraint(f"{name} >= 0") for name in self._slack_names))

    @property
    def _slack_names(self) -> list[str]:
        is_constrained = isinstance(self._function, ConstrainedBaseTestProblem)
        return [f"slack{k + 1}" for k in range(self._function.num_constraints)] if is_constrained else []

    def estimate(self, point: Point) -> Estimate:
        """Return the objectives and slacks of a point.

        Raises:
            SearchSpaceError: If the point is not in the space.
        """
        canonical = self.search_space.canonical(point)
        X = torch.tensor([list(canonical.values())], dtype=torch.float64)
        values = self._function.evaluate_true(X)[0]
        metrics = {
            name.removeprefix("-"): Measurement(-value if name.startswith("-") else value)
            for name, value in zip(self._names, values.tolist(), strict=True)
        }
        if isinstance(self._function, ConstrainedBaseTestProblem):  # BoTorch: a slack of at least 0 is feasible
            slacks = self._function.evaluate_slack_true(X)[0]
            metrics |= {
                name: Measurement(slack) for name, slack in zip(self._slack_names, slacks.tolist(), strict=True)
            }
        return Estimate(key=self.search_space.key(canonical), metrics=metrics)
