import pytest
import torch

from aebnas_bo.errors import UsageError
from aebnas_bo.search.objectives import Objective, constraint
from aebnas_bo.search.outcome_constraints import check_single_metrics, outcome_constraints
from surrogates.feasibility import OutcomeConstraint

OUTCOMES = ["accuracy", "average_macs", "slack"]
LIMITED = [Objective("average_macs", False, 5.0, limit=2.0), constraint("slack >= -1")]


def test_limits_of_objectives_come_before_the_constraints_of_the_experiment() -> None:
    weights, bounds = torch.tensor([[0.0, 0.0, -1.0], [0.0, 0.0, 2.0]]), torch.tensor([[1.0], [6.0]])
    assert outcome_constraints(LIMITED, (weights, bounds), OUTCOMES) == [
        OutcomeConstraint(1, -1.0, 2.0),
        OutcomeConstraint(2, 1.0, -1.0),  # -slack <= 1
        OutcomeConstraint(2, -1.0, 3.0),  # 2 slack <= 6
    ]
    assert outcome_constraints(LIMITED, None, OUTCOMES) == [OutcomeConstraint(1, -1.0, 2.0)]
    assert outcome_constraints([], None, OUTCOMES) == []


def test_a_constraint_on_several_metrics_is_refused() -> None:
    check_single_metrics([["accuracy"], ["slack"]])
    with pytest.raises(
        UsageError, match=r"several metrics \(accuracy, slack\) .* report their sum as a metric of its own"
    ):
        check_single_metrics([["accuracy"], ["accuracy", "slack"]])
