"""BoTorch's multi-objective test functions as search problems of continuous parameters.

Reference points and best hypervolumes are those that BoTorch states. Two functions have no best hypervolume: for MW7 it
is that of its front, in closed form, and for DiscBrake the largest one that pymoo's NSGA-II found in 200,000
evaluations with the constraints given.

A strategy of this package takes limits on objectives only, so constraints on other quantities go into the objectives,
for every method alike: an infeasible point is reported as worse than the reference point in every objective, the more
the larger its violation (`penalised`). It then adds nothing to the hypervolume.

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

from collections.abc import Callable
from dataclasses import dataclass

import torch
from botorch.test_functions.base import ConstrainedBaseTestProblem, MultiObjectiveTestProblem
from botorch.test_functions.multi_objective import C2DTLZ2, DTLZ2, MW7, DiscBrake, Penicillin, VehicleSafety
from botorch.utils.sampling import draw_sobol_samples
from torch import Tensor

from aebnas_bo.estimation.estimate import Estimate, Measurement
from aebnas_bo.search.objectives import Objective
from aebnas_bo.space.search_space import ContinuousParameter, Point, SearchSpace

SCALE_POINTS = 1024  # Sobol points that give each constraint its scale: its largest violation there


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
    "penicillin": PublishedFunction(Penicillin, ("-yield", "co2", "time")),
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
        self._scales = self._constraint_scales()

    @property
    def objectives(self) -> tuple[Objective, ...]:
        """Directions and reference point."""
        return tuple(
            Objective(name.removeprefix("-"), name.startswith("-"), -value if name.startswith("-") else value)
            for name, value in zip(self._names, self.reference.tolist(), strict=True)
        )

    def estimate(self, point: Point) -> Estimate:
        """Return the objectives of a point.

        Raises:
            SearchSpaceError: If the point is not in the space.
        """
        canonical = self.search_space.canonical(point)
        X = torch.tensor([list(canonical.values())], dtype=torch.float64)
        values = self._function.evaluate_true(X)[0]
        if isinstance(self._function, ConstrainedBaseTestProblem):
            violation = self._violations(X)[0] / self._scales
            values = penalised(values, violation.sum(), self.reference)
        metrics = {
            name.removeprefix("-"): Measurement(-value if name.startswith("-") else value)
            for name, value in zip(self._names, values.tolist(), strict=True)
        }
        return Estimate(key=self.search_space.key(canonical), metrics=metrics)

    def _violations(self, X: Tensor) -> Tensor:
        return -self._function.evaluate_slack_true(X).clamp(max=0.0)  # BoTorch: a slack of at least 0 is feasible

    def _constraint_scales(self) -> Tensor:
        if not isinstance(self._function, ConstrainedBaseTestProblem):
            return torch.ones(0, dtype=torch.float64)
        X = draw_sobol_samples(self._function.bounds, n=SCALE_POINTS, q=1, seed=0).squeeze(1)
        largest = self._violations(X).amax(dim=0)
        return torch.where(largest > 0.0, largest, 1.0)


def penalised(values: Tensor, violation: Tensor, reference: Tensor) -> Tensor:
    """Return minimised objectives, `m`, in which an infeasible point is worse than the reference point.

    Args:
        values: The objectives of the point, `m`.
        violation: Its total constraint violation, a scalar; 0 if it is feasible.
        reference: The reference point, `m`, positive.

    Returns:
        The values of a feasible point; otherwise one to two times the reference point.
    """
    if violation <= 0.0:
        return values
    return reference * (1.0 + violation / (1.0 + violation))
