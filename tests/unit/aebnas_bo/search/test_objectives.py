import pytest
import torch

from aebnas_bo.errors import ConfigError
from aebnas_bo.search.objectives import Objective, reference_to_maximize, to_maximize

OBJECTIVES = (Objective("accuracy", True, 10.0), Objective("average_macs", False, 5.0))


def test_signs_flip_for_what_is_minimised() -> None:
    rows = to_maximize([{"accuracy": 90.0, "average_macs": 2.0}], OBJECTIVES)
    assert rows.tolist() == [[90.0, -2.0]]
    assert rows.dtype == torch.float64
    assert reference_to_maximize(OBJECTIVES).tolist() == [10.0, -5.0]


def test_no_trials_give_an_empty_matrix() -> None:
    assert to_maximize([], OBJECTIVES).shape == (0, 2)


def test_missing_metric_is_named() -> None:
    with pytest.raises(ConfigError, match="average_macs"):
        to_maximize([{"accuracy": 90.0}], OBJECTIVES)
