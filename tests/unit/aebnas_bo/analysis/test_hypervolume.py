import numpy as np
import pytest
import torch
from botorch.utils.multi_objective.box_decompositions import DominatedPartitioning
from botorch.utils.multi_objective.hypervolume import Hypervolume
from botorch.utils.multi_objective.pareto import is_non_dominated

from aebnas_bo.analysis.hypervolume import hypervolume, hypervolume_curve
from aebnas_bo.analysis.pareto import non_dominated
from aebnas_bo.estimation.estimate import OperatingPoint
from aebnas_bo.search.objectives import Objective, constraint, reference_to_maximize, to_maximize
from aebnas_bo.search.trial import Trial

from .conftest import make_trial


def test_hand_computed_curve(trials, objectives) -> None:
    # reference (10 %, 5 M): (50, 2) covers 40 x 3; (90, 4) adds 40 x 1; (70, 3) adds 20 x 1
    expected = [120.0, 160.0, 180.0, 180.0, 180.0, 180.0, 180.0]
    assert hypervolume_curve(trials, objectives) == list(zip(range(7), expected, strict=True))
    assert hypervolume(trials, objectives) == 180.0


def test_points_on_or_beyond_the_reference_count_nothing(objectives) -> None:
    assert hypervolume([make_trial(0, 10.0, 1.0), make_trial(1, 90.0, 5.0)], objectives) == 0.0


def test_only_points_within_a_constraint_count(timed, objectives) -> None:
    # reference (10 %, 5 M): (70, 3) covers 60 x 2, (90, 4) adds 20 x 1; trial 0 takes 6 ms
    assert hypervolume(timed, (*objectives, constraint("latency_ms <= 5"))) == 140.0
    assert hypervolume(timed, (constraint("latency_ms <= 0.5"), *objectives)) == 0.0


def test_no_trials_no_volume(objectives) -> None:
    assert hypervolume_curve([], objectives) == []
    assert hypervolume([], objectives) == 0.0


def test_curve_never_falls_and_equals_a_full_recomputation(objectives) -> None:
    generator = np.random.default_rng(0)
    many = [make_trial(n, generator.uniform(0, 100), generator.uniform(0, 6)) for n in range(80)]
    values = [value for _, value in hypervolume_curve(many, objectives)]
    assert values == sorted(values)
    for count in (1, 20, 80):
        Y = torch.from_numpy(to_maximize([trial.metrics for trial in many[:count]], objectives))
        reference = torch.from_numpy(reference_to_maximize(objectives))
        box = DominatedPartitioning(ref_point=reference, Y=Y)
        assert values[count - 1] == pytest.approx(float(box.compute_hypervolume()), rel=1e-12)
    assert torch.get_default_dtype() == torch.float32


@pytest.mark.parametrize("m", [2, 3, 4])
def test_fronts_and_volumes_are_those_of_botorch_ties_included(m: int) -> None:
    generator = np.random.default_rng(m)
    objectives = [Objective(f"m{k}", True, reference=0.0) for k in range(m)]
    rows = generator.integers(1, 6, (40, m)).astype(float)
    trials = [
        Trial(n, f"key{n}", "COMPLETED", {}, points=(OperatingPoint({f"m{k}": v for k, v in enumerate(row)}, {}),))
        for n, row in enumerate(rows)
    ]
    Y = torch.from_numpy(rows)
    assert non_dominated(rows) == is_non_dominated(Y).nonzero().squeeze(-1).tolist()
    expected = Hypervolume(ref_point=torch.zeros(m, dtype=torch.float64)).compute(Y[is_non_dominated(Y)])
    assert hypervolume(trials, objectives) == pytest.approx(float(expected), rel=1e-12)
