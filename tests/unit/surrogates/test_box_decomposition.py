import pytest
import torch
from botorch.utils.multi_objective.box_decompositions.non_dominated import FastNondominatedPartitioning
from botorch.utils.multi_objective.hypervolume import Hypervolume
from botorch.utils.multi_objective.pareto import is_non_dominated
from torch import Tensor

from surrogates.box_decomposition import SweptBoxes

REFERENCE = torch.tensor([-1.0, 0.5, 2.0], dtype=torch.float64)


def points_of(kind: str, seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    count = int(torch.randint(1, 30, (1,), generator=generator))
    points = torch.randn(count, 3, generator=generator, dtype=torch.float64) + REFERENCE + 0.7
    return {"any": points, "ties": points.mul(2.0).round().div(2.0), "front": points[is_non_dominated(points)]}[kind]


def improvement(bounds: Tensor, candidate: Tensor) -> float:
    lower, upper = bounds
    return float((torch.minimum(candidate, upper) - lower).clamp_min(0.0).prod(dim=-1).sum())


def hypervolume(points: Tensor) -> float:
    above = points[(points > REFERENCE).all(dim=-1)]
    return Hypervolume(REFERENCE).compute(above[is_non_dominated(above)]) if len(above) else 0.0


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["any", "ties", "front"])
def test_boxes_hold_exactly_what_a_point_adds(kind: str) -> None:
    for seed in range(40):
        points = points_of(kind, seed)
        bounds = SweptBoxes(REFERENCE, points).get_hypercell_bounds()
        generator = torch.Generator().manual_seed(1000 + seed)
        for candidate in REFERENCE + 3.0 * torch.rand(5, 3, generator=generator, dtype=torch.float64):
            expected = hypervolume(torch.cat([points, candidate[None]])) - hypervolume(points)
            assert improvement(bounds, candidate) == pytest.approx(expected, abs=1e-9)


def test_boxes_do_not_overlap_and_are_few() -> None:
    for seed in range(20):
        points = points_of("any", seed)
        lower, upper = SweptBoxes(REFERENCE, points).get_hypercell_bounds()
        assert len(lower) <= 2 * len(points) + 1
        assert (upper > lower).all()
        sides = torch.minimum(upper[:, None], upper[None]) - torch.maximum(lower[:, None], lower[None])
        overlaps = (sides > 0.0).all(dim=-1) & ~torch.eye(len(lower), dtype=torch.bool)
        assert not overlaps.any()


def test_without_points_one_box_holds_everything() -> None:
    lower, upper = SweptBoxes(REFERENCE, torch.empty(0, 3, dtype=torch.float64)).get_hypercell_bounds()
    assert torch.equal(lower[0], REFERENCE)
    assert upper.isinf().all()


def test_the_same_improvements_as_botorchs_decomposition() -> None:
    points = points_of("front", 3)
    theirs = FastNondominatedPartitioning(ref_point=REFERENCE, Y=points).get_hypercell_bounds()
    ours = SweptBoxes(REFERENCE, points).get_hypercell_bounds()
    for candidate in REFERENCE + 3.0 * torch.rand(20, 3, dtype=torch.float64):
        assert improvement(ours, candidate) == pytest.approx(improvement(theirs, candidate), abs=1e-9)
