"""Check that a loop written by hand has completed trials, and that each has all metrics."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
import pandas as pd

from aebnas_bo.errors import MissingMetricError, TooManyFailedTrialsError


def trials_with_all_metrics(data: pd.DataFrame, completed: Collection[int], metrics: Collection[str]) -> list[int]:
    """Return the indices of the trials that have a finite value of every metric.

    Args:
        data: Data of an Ax experiment, one row per trial and metric (`trial_index`, `metric_name`, `mean`).
        completed: Indices of the completed trials.
        metrics: Names of all metrics.

    Raises:
        MissingMetricError: If a completed trial lacks one.
    """
    finite = data[np.isfinite(data["mean"].astype(float))]
    arrived = {int(str(index)): set(names) for index, names in finite.groupby("trial_index")["metric_name"]}
    lacking = {index: sorted(set(metrics) - arrived.get(index, set())) for index in sorted(completed)}
    incomplete = [index for index, missing in lacking.items() if missing]
    if incomplete:
        raise _missing(incomplete[0], lacking[incomplete[0]], num_incomplete=len(incomplete), metrics=metrics)
    return [index for index, names in arrived.items() if names.issuperset(metrics)]


def _missing(
    trial: int, missing: Collection[str], *, num_incomplete: int, metrics: Collection[str]
) -> MissingMetricError:
    in_all = f" ({num_incomplete} such trials in all)" if num_incomplete > 1 else ""
    values = ", ".join(f"'{name}': (mean, standard error)" for name in missing)
    return MissingMetricError(
        f"trial {trial} was completed without a finite value of {', '.join(missing)}{in_all}; every completed trial "
        f"needs {', '.join(sorted(metrics))}: add what is missing with client.attach_data({trial}, {{{values}}}), and "
        "give back trials that fail with client.mark_trial_abandoned(trial_index)"
    )


def check_one_completed(completed: Collection[int], num_trials: int) -> None:
    """Check that at least one trial was completed.

    Args:
        completed: Indices of the completed trials.
        num_trials: Number of all trials.

    Raises:
        TooManyFailedTrialsError: If no trial was completed.
    """
    if not completed:
        raise TooManyFailedTrialsError(
            f"none of {num_trials} trials was completed, but surrogates need one: complete one (client.attach_trial "
            "takes a point of your own), or begin again with a larger search.design_trials"
        )
