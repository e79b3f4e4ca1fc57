"""Check that every completed trial of a loop written by hand has all metrics."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from aebnas_bo.errors import MissingMetricError


def check_metrics(arrived: Mapping[int, Collection[str]], completed: Collection[int], metrics: Collection[str]) -> None:
    """Check that no completed trial lacks a metric.

    Args:
        arrived: Names of the metrics that have a finite value, by index of the trial.
        completed: Indices of the completed trials.
        metrics: Names of all metrics of the experiment.

    Raises:
        MissingMetricError: If a completed trial lacks one.
    """
    lacking = {index: set(metrics) - set(arrived.get(index, ())) for index in sorted(completed)}
    incomplete = [index for index, missing in lacking.items() if missing]
    if not incomplete:
        return
    first = incomplete[0]
    missing = ", ".join(sorted(lacking[first]))
    rest = f" ({len(incomplete)} such trials in all)" if len(incomplete) > 1 else ""
    values = ", ".join(f"'{name}': (mean, standard error)" for name in sorted(lacking[first]))
    raise MissingMetricError(
        f"trial {first} was completed without a finite value of {missing}{rest}; every completed trial "
        f"needs all metrics ({', '.join(sorted(metrics))}): add it with client.attach_data({first}, {{{values}}}), "
        "and give back trials that fail with client.mark_trial_abandoned(trial_index)"
    )
