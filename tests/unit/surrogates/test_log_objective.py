import math

import torch
from botorch.acquisition.multi_objective.objective import WeightedMCMultiOutputObjective

from surrogates.log_objective import LogObjective

SIGNS = WeightedMCMultiOutputObjective(weights=torch.tensor([1.0, -1.0]))


def test_logarithms_are_taken_where_they_are_asked_for() -> None:
    objective = LogObjective(SIGNS, {1: 0.5}, outcomes=[0, 1])
    samples = torch.tensor([[90.0, 4.0], [90.0, 2.0], [90.0, -1.0]])
    assert torch.allclose(objective(samples)[:, 1], -torch.tensor([4.0, 2.0, 0.5]).log())
    assert objective(samples)[:, 0].tolist() == [90.0, 90.0, 90.0]
    assert torch.allclose(objective.reference(torch.tensor([10.0, -8.0])), torch.tensor([10.0, -math.log(8.0)]))


def test_without_logarithms_nothing_changes() -> None:
    objective, samples = LogObjective(SIGNS, {}, outcomes=[0, 1]), torch.rand(3, 4, 2)
    assert torch.equal(objective(samples), SIGNS(samples))
    assert objective.reference(torch.tensor([10.0, -8.0])).tolist() == [10.0, -8.0]


def test_objectives_need_not_be_in_the_order_of_outcomes() -> None:
    # Outcome 1 is a constraint; the objectives are outcome 2, to be minimised, and outcome 0.
    swapped = WeightedMCMultiOutputObjective(weights=torch.tensor([-1.0, 1.0]), outcomes=[2, 0])
    objective = LogObjective(swapped, {2: 0.5}, outcomes=[2, 0])
    assert torch.allclose(objective(torch.tensor([[90.0, -7.0, 4.0]])), torch.tensor([[-math.log(4.0), 90.0]]))
    assert torch.allclose(objective.reference(torch.tensor([-8.0, 10.0])), torch.tensor([-math.log(8.0), 10.0]))
