import numpy as np
import pytest

from aebnas_bo.errors import ConfigError
from aebnas_bo.search.objectives import Objective, reference_to_maximize, shortfall, to_maximize

OBJECTIVES = (Objective("accuracy", True, 10.0), Objective("average_macs", False, 5.0))


def test_signs_flip_for_what_is_minimised() -> None:
    rows = to_maximize([{"accuracy": 90.0, "average_macs": 2.0}], OBJECTIVES)
    assert rows.tolist() == [[90.0, -2.0]]
    assert rows.dtype == np.float64
    assert reference_to_maximize(OBJECTIVES).tolist() == [10.0, -5.0]


def test_no_trials_give_an_empty_matrix() -> None:
    assert to_maximize([], OBJECTIVES).shape == (0, 2)


def test_missing_metric_is_named() -> None:
    with pytest.raises(ConfigError, match="average_macs"):
        to_maximize([{"accuracy": 90.0}], OBJECTIVES)


def test_shortfall_adds_up_misses_as_shares_of_the_way_to_the_reference() -> None:
    limited = (Objective("accuracy", True, 10.0, limit=90.0), Objective("average_macs", False, 6.0, limit=2.0))
    assert shortfall({"accuracy": 90.0, "average_macs": 2.0}, limited) == 0.0
    assert shortfall({"accuracy": 70.0, "average_macs": 3.0}, limited) == pytest.approx(20.0 / 80.0 + 1.0 / 4.0)
    assert shortfall({"accuracy": 1.0, "average_macs": 99.0}, (Objective("accuracy", True, 10.0),)) == 0.0


def test_bounds_survive_json() -> None:
    import json
    from dataclasses import asdict

    objective = Objective("accuracy", True, 10.0, bounds=(0.0, 100.0), limit=80.0)
    assert Objective(**json.loads(json.dumps(asdict(objective)))) == objective
