import pandas as pd
import pytest

from aebnas_bo.errors import MissingMetricError, UsageError
from aebnas_bo.search.metric_arrival import trials_with_all_metrics

METRICS = {"accuracy", "macs"}


def data(*rows: tuple[int, str, float]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["trial_index", "metric_name", "mean"])


def test_trials_with_all_metrics_are_returned_and_unfinished_ones_need_none() -> None:
    whole = trials_with_all_metrics(data((0, "accuracy", 1.0), (0, "macs", 2.0), (1, "macs", 1.0)), {0}, METRICS)
    assert whole == [0]
    assert trials_with_all_metrics(data(), set(), METRICS) == []


@pytest.mark.parametrize("value", [None, float("nan"), float("inf")])
def test_a_completed_trial_without_a_metric_is_named_with_the_way_out(value) -> None:
    rows = [(0, "macs", 1.0), (0, "accuracy", 1.0), (2, "macs", 1.0)]
    rows += [] if value is None else [(2, "accuracy", value)]
    with pytest.raises(MissingMetricError) as caught:
        trials_with_all_metrics(data(*rows), [2, 3, 0], METRICS)
    assert isinstance(caught.value, UsageError)
    text = str(caught.value)
    assert text.startswith("trial 2 was completed without a finite value of accuracy (2 such trials in all)")
    assert "client.attach_data(2, {'accuracy': (mean, standard error)})" in text
