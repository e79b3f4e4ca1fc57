import pytest

from aebnas_bo.errors import MissingMetricError, UsageError
from aebnas_bo.search.metric_arrival import check_metrics


def test_trials_with_all_metrics_pass_and_others_need_none() -> None:
    check_metrics({0: {"accuracy", "macs"}, 1: {"accuracy"}}, completed={0}, metrics={"accuracy", "macs"})
    check_metrics({}, completed=set(), metrics={"accuracy"})


def test_a_completed_trial_without_a_metric_is_named_with_the_way_out() -> None:
    with pytest.raises(MissingMetricError) as caught:
        check_metrics({0: {"macs", "accuracy"}, 2: {"macs"}}, completed=[2, 3, 0], metrics={"accuracy", "macs"})
    assert isinstance(caught.value, UsageError)
    text = str(caught.value)
    assert text.startswith("trial 2 was completed without a finite value of accuracy (2 such trials in all)")
    assert "client.attach_data(2, {'accuracy': (mean, standard error)})" in text
