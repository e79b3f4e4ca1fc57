import pytest
import torch

from aebnas_bo.early_exit.exit_rule import ExitTable, evaluate_thresholds
from aebnas_bo.early_exit.outputs_in_use import keep_outputs, outputs_in_use, rows_in_use

BACKBONE, BRANCHES = (10, 20, 40), (1, 2)
TABLE = ExitTable(
    torch.tensor([[0.9, 0.1, 0.2], [0.3, 0.8, 0.4], [1.0, 1.0, 1.0]]),
    torch.tensor([[1, 0, 0], [1, 1, 0], [1, 1, 1]]).bool(),
    (11, 23, 43),
)


@pytest.mark.parametrize(
    ("thresholds", "rows"),
    [
        ((0.5, 0.7), (0, 1, 2)),
        ((None, 0.7), (1, 2)),
        ((None, None), (2,)),
        ((0.5, 0.0), (0, 1)),
        ((0.0, None), (0,)),
        ((0.0, 0.7), (0,)),  # every image leaves before the second exit
        ((), (0,)),
    ],
)
def test_a_network_ends_at_the_exit_whose_threshold_is_0(thresholds, rows) -> None:
    assert rows_in_use(thresholds) == rows


def test_tables_charge_what_is_run_alone() -> None:
    assert keep_outputs(TABLE, (1, 2), backbone=BACKBONE, branches=BRANCHES).macs == (22, 42)
    assert keep_outputs(TABLE, (0, 1), backbone=BACKBONE, branches=BRANCHES).macs == (11, 23)


def test_the_last_exit_takes_every_image_that_is_left() -> None:
    used = outputs_in_use(TABLE, (0.5, 0.0), backbone=BACKBONE, branches=BRANCHES)
    assert (used.rows, used.table.macs, used.thresholds) == ((0, 1), (11, 23), (0.5,))
    outcome = evaluate_thresholds(used.table, used.thresholds)
    assert outcome.exit_rates == pytest.approx((1 / 3, 2 / 3))
    assert outcome.accuracy == pytest.approx(200 / 3)
    assert outcome.average_macs == pytest.approx((11 + 2 * 23) / 3)
