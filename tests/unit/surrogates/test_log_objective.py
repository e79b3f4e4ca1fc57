import math

import torch
from botorch.acquisition.multi_objective.objective import WeightedMCMultiOutputObjective

from surrogates.log_objective import LogObjective

SIGNS = WeightedMCMultiOutputObjective(weights=torch.tensor([1.0, -1.0]))


def test_logarithms_are_taken_where_they_are_asked_for() -> None:
    objective = LogObjective(SIGNS, {1: 0.5})
    samples = torch.tensor([[90.0, 4.0], [90.0, 2.0], [90.0, -1.0]])
    assert torch.allclose(objective(samples)[:, 1], -torch.tensor([4.0, 2.0, 0.5]).log())
    assert objective(samples)[:, 0].tolist() == [90.0, 90.0, 90.0]
    assert torch.allclose(objective.reference(torch.tensor([10.0, -8.0])), torch.tensor([10.0, -math.log(8.0)]))


def test_without_logarithms_nothing_changes() -> None:
    objective, samples = LogObjective(SIGNS, {}), torch.rand(3, 4, 2)
    assert torch.equal(objective(samples), SIGNS(samples))
    assert objective.reference(torch.tensor([10.0, -8.0])).tolist() == [10.0, -8.0]
