import pytest
import torch

from aebnas_bo.early_exit.exit_rule import (
    ExitTable,
    ExitTableError,
    evaluate_thresholds,
    exit_indices,
    outcomes_by_output,
)

TABLE = ExitTable(
    confidence=torch.tensor([[0.9, 0.2, 0.5, 0.1], [0.1, 0.8, 0.5, 0.2], [0.3, 0.3, 0.3, 0.3]]),
    is_correct=torch.tensor([[1, 0, 0, 0], [1, 1, 1, 0], [1, 1, 1, 1]]).bool(),
    macs=(100, 200, 400),
)


def test_images_leave_at_the_first_confident_exit() -> None:
    assert exit_indices(TABLE.confidence, (0.5, 0.5)).tolist() == [0, 1, 0, 2]


def test_a_confidence_equal_to_the_threshold_leaves() -> None:
    assert exit_indices(TABLE.confidence, (0.9, 1.0)).tolist() == [0, 2, 2, 2]


def test_hand_computed_outcome() -> None:
    outcome = evaluate_thresholds(TABLE, (0.5, 0.5))
    assert outcome.exit_rates == (0.5, 0.25, 0.25)
    assert outcome.average_macs == 0.5 * 100 + 0.25 * 200 + 0.25 * 400
    assert outcome.accuracy == 75.0  # the third image leaves at exit 0, wrong
    share = 4 / 6
    assert outcome.accuracy_sem == pytest.approx(100 * (share * (1 - share) / 4) ** 0.5)
    # deviations from the mean of 200: twice -100, once 0, once 200
    assert outcome.average_macs_sem == pytest.approx(((2 * 100**2 + 0 + 200**2) / 4 / 4) ** 0.5)


def test_a_fixed_path_has_exact_macs() -> None:
    outcome = evaluate_thresholds(TABLE, (0.0, 0.5))
    assert (outcome.average_macs, outcome.average_macs_sem) == (100.0, 0.0)


def test_all_right_keeps_a_standard_error() -> None:
    table = ExitTable(torch.ones(1, 50), torch.ones(1, 50).bool(), (5,))
    outcome = evaluate_thresholds(table, ())
    assert outcome.accuracy == 100.0
    assert outcome.accuracy_sem > 0


def test_agrees_with_images_one_by_one() -> None:
    generator = torch.Generator().manual_seed(0)
    confidence, hits = torch.rand(4, 300, generator=generator), torch.rand(4, 300, generator=generator) < 0.7
    table, thresholds = ExitTable(confidence, hits, (3, 5, 9, 20)), (0.9, 0.7, 0.8)
    right = cost = 0
    for image in range(300):
        for output in range(4):
            if output == 3 or confidence[output, image] >= thresholds[output]:
                right, cost = right + int(hits[output, image]), cost + table.macs[output]
                break
    outcome = evaluate_thresholds(table, thresholds)
    assert outcome.accuracy == pytest.approx(100 * right / 300)
    assert outcome.average_macs == pytest.approx(cost / 300)


def test_cumulative_certainty_is_the_sum_of_leaving_probabilities() -> None:
    table = ExitTable(TABLE.confidence, TABLE.is_correct, TABLE.macs, "cumulative")
    first, second = TABLE.confidence[:2]
    torch.testing.assert_close(table.certainty[0], first)
    torch.testing.assert_close(table.certainty[1], first + second * (1.0 - first))
    # 0.91, 0.84, 0.75 and 0.28 after the second exit
    assert evaluate_thresholds(table, (0.95, 0.8)).exit_rates == (0.0, 0.5, 0.5)
    assert evaluate_thresholds(TABLE, (0.95, 0.8)).exit_rates == (0.0, 0.25, 0.75)


def test_wrong_number_of_thresholds_is_refused() -> None:
    with pytest.raises(ExitTableError, match="for each of 2 exits"):
        evaluate_thresholds(TABLE, (0.5,))


@pytest.mark.parametrize(
    ("confidence", "hits", "macs"),
    [(torch.ones(2, 3), torch.ones(2, 4).bool(), (1, 2)), (torch.ones(2, 3), torch.ones(2, 3).bool(), (1,)),
     (torch.ones(1, 0), torch.ones(1, 0).bool(), (1,))],
)  # fmt: skip
def test_tables_that_do_not_fit_are_refused(confidence, hits, macs) -> None:
    with pytest.raises(ExitTableError):
        ExitTable(confidence, hits, macs)


def test_each_output_counted_by_hand() -> None:
    first, second, last = outcomes_by_output(TABLE, (0.5, 0.5))
    assert (first.exit_rate, first.accuracy, first.accuracy_of_leaving) == (0.5, 25.0, 50.0)
    assert (second.exit_rate, second.accuracy, second.accuracy_of_leaving) == (0.25, 75.0, 100.0)
    assert (last.exit_rate, last.accuracy, last.accuracy_of_leaving) == (0.25, 100.0, 100.0)
    assert outcomes_by_output(TABLE, (0.0, 0.5))[1].accuracy_of_leaving is None
    with pytest.raises(ExitTableError, match="2 exits"):
        outcomes_by_output(TABLE, (0.5,))
