import math

import numpy as np
import pytest
from sympy import sympify

from aebnas_bo.errors import ConfigError
from aebnas_bo.search.objectives import (
    Objective,
    constraint,
    misses,
    optimized,
    reference_to_maximize,
    shortfall,
    to_maximize,
    violations,
)

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

    for objective in (Objective("accuracy", True, 10.0, bounds=(0.0, 100.0), limit=80.0), constraint("memory <= 4")):
        assert Objective(**json.loads(json.dumps(asdict(objective)))) == objective


def test_ratios_count_on_the_log_scale() -> None:
    objectives = (OBJECTIVES[0], Objective("average_macs", False, 5.0, scale="log"))
    rows = to_maximize([{"accuracy": 90.0, "average_macs": cost} for cost in (4.0, 2.0, 1.0, 0.0)], objectives)
    reference = reference_to_maximize(objectives)
    assert np.diff(rows[:3, 1]) == pytest.approx([math.log(2.0)] * 2)
    assert reference.tolist() == [10.0, -math.log(5.0)]
    assert rows[3, 1] == pytest.approx(reference[1] - math.log(1e-6))  # finite
    with pytest.raises(ConfigError, match="average_macs: the log scale needs a positive reference"):
        Objective("average_macs", False, 0.0, scale="log")


@pytest.mark.parametrize(
    ("text", "maximize", "limit"),
    [("memory_mb <= 4", False, 4.0), ("slack1>=-1e-3", True, -1e-3), ("  a  <=  +2.5 ", False, 2.5)],
)
def test_constraints_are_read(text: str, maximize: bool, limit: float) -> None:
    found = constraint(text, unit="MB")
    assert (found.maximize, found.limit, found.reference, found.unit) == (maximize, limit, limit, "MB")
    assert found.is_constraint
    assert found.values == (-math.inf, math.inf)


@pytest.mark.parametrize(
    "text", ["memory", "memory < 4", "memory <= x", "4 <= memory", "a <= nan", "a <= 1 MB", "a+b <= 1"]
)
def test_other_texts_are_no_constraints(text: str) -> None:
    with pytest.raises(ConfigError, match="expected METRIC <= NUMBER or METRIC >= NUMBER"):
        constraint(text)


def test_a_constraint_without_a_limit_is_refused() -> None:
    with pytest.raises(ConfigError, match="memory: a constraint needs a limit"):
        Objective("memory", False, 4.0, is_constraint=True)


def test_constraints_have_no_column_but_count_as_limits() -> None:
    limited = (constraint("slack >= 2"), *OBJECTIVES, constraint("memory <= -4"))
    metrics = {"accuracy": 90.0, "average_macs": 2.0, "slack": 1.0, "memory": 0.0}
    assert optimized(limited) == OBJECTIVES
    assert to_maximize([metrics], limited).tolist() == [[90.0, -2.0]]
    assert reference_to_maximize(limited).tolist() == [10.0, -5.0]
    assert violations(metrics, limited) == (1.0, 4.0)
    assert misses(metrics, limited) == {"slack": 1.0, "memory": 4.0}
    assert shortfall(metrics, limited) == pytest.approx(1.0 / 2.0 + 4.0 / 4.0)
    assert shortfall({**metrics, "slack": 0.0}, (constraint("slack >= 0"),)) == 0.0
    assert shortfall({**metrics, "slack": -3.0}, (constraint("slack >= 0"),)) == 3.0


@pytest.mark.parametrize("name", ["yield", "lambda", "beta", "test", "E"])
def test_names_that_ax_reads_as_something_else_are_refused(name: str) -> None:
    with pytest.raises(
        ConfigError, match=rf"{name}: is a word of Python, .* choose another name, such as {name}_value"
    ):
        Objective(name, maximize=True, reference=0.0)
    with pytest.raises(ConfigError, match="choose another name"):
        Objective(name, maximize=False, reference=0.0, limit=1.0, is_constraint=True)
    assert sympify(f"{name}_value").is_Symbol
    Objective(f"{name}_value", maximize=True, reference=0.0)
