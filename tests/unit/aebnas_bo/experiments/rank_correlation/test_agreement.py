import numpy as np
import pytest
import torch

from aebnas_bo.config.loading import load_config
from aebnas_bo.early_exit.exit_rule import ExitTable
from aebnas_bo.experiments.rank_correlation.agreement import agreements, compare_network, quantities_of
from aebnas_bo.experiments.rank_correlation.settings import FidelityConfig
from aebnas_bo.space.network_space import NetworkSpace

SPACE = NetworkSpace(load_config(None).space, 1, 10)
POINT = SPACE.search_space.canonical(
    {**SPACE.search_space.sample(np.random.default_rng(0)), "exit1_depth": 0, "exit2_depth": 1, "exit2_threshold": 0.5}
)


def table(confidence: list[float], right: list[list[bool]]) -> ExitTable:
    return ExitTable(torch.tensor([confidence, [1.0] * 4]), torch.tensor(right), (1_000_000, 3_000_000))


def test_quantities_are_worked_out_at_the_points_thresholds() -> None:
    estimate = table([0.9, 0.9, 0.1, 0.1], [[True, False, True, True], [False, True, True, False]])
    alone = table([0.9, 0.9, 0.9, 0.9], [[True, True, True, True], [True, False, False, False]])
    comparison = compare_network(SPACE, POINT, estimate=estimate, alone=[alone])
    assert comparison.estimates == {"accuracy": 50.0, "average_macs": 2.0, "exit2": 75.0, "final": 50.0}
    assert comparison.alone == {"accuracy": 100.0, "average_macs": 1.0, "exit2": 100.0, "final": 25.0}
    assert comparison.macs == {"exit2": 1.0, "final": 3.0}
    assert [comparison.macs_of(quantity) for quantity in ("accuracy", "exit2", "final")] == [2.0, 1.0, 3.0]
    assert comparison.key == SPACE.architecture(POINT).key


def test_each_quantity_is_compared_over_the_networks_that_have_it() -> None:
    generator = np.random.default_rng(0)
    comparisons = []
    for _ in range(6):
        confidence, rows = generator.random(4).tolist(), generator.random((2, 4)) < 0.5
        comparisons.append(compare_network(SPACE, POINT, estimate=table(confidence, rows.tolist()),
                                           alone=[table(confidence, (~rows).tolist())]))  # fmt: skip
    assert quantities_of(SPACE) == ("accuracy", "average_macs", "final", "exit1", "exit2")
    config = FidelityConfig(bootstrap_samples=100)
    found = {
        a.quantity: a
        for a in agreements(comparisons, quantities_of(SPACE), config=config, generator=np.random.default_rng(0))
    }
    assert "exit1" not in found
    assert found["exit2"].kendall_tau.value == pytest.approx(-1.0)
    assert found["average_macs"].against_macs is None
    assert found["accuracy"].against_macs is not None
    assert found["final"].against_macs is None  # leaving there costs the same in all of them
    assert found["average_macs"].kendall_tau.value == pytest.approx(1.0)
