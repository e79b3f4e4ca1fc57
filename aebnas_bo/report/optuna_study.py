"""Copy of a study as an Optuna study in an SQLite file, for optuna-dashboard and other tools that read Optuna."""

from __future__ import annotations

import json
import warnings
from datetime import datetime, timedelta
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from aebnas_bo.errors import UsageError
from aebnas_bo.report.stored_run import StoredRun
from aebnas_bo.search.objectives import Objective, optimized, violations
from aebnas_bo.search.trial import Trial, TrialStatus
from aebnas_bo.space.network_space import NetworkSpace
from aebnas_bo.space.search_space import ChoiceParameter, ContinuousParameter, SearchSpace
from aebnas_bo.storage.atomic_files import replacing

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from optuna.distributions import BaseDistribution
    from optuna.trial import FrozenTrial

CONSTRAINTS = "constraints"  # system attribute of Optuna's samplers; values above 0 violate a constraint


def check_optuna_file(path: Path) -> None:
    """Check that a study can be exported to a file.

    Args:
        path: The file.

    Raises:
        UsageError: If Optuna is not installed, or the file exists.
    """
    if find_spec("optuna") is None:
        raise UsageError("--format optuna needs optuna, not installed here; run pip install 'aebnas_bo[optuna]'")
    if path.exists():
        raise UsageError(f"--out {path}: exists and is not overwritten; remove it, or use another file")


def write_optuna_study(run: StoredRun, path: Path) -> int:
    """Write an Optuna study with all trials at their proposed operating points.

    Choices become categorical distributions, thresholds float distributions; a trial has the parameters that are active
    in its network. Limits of the search are constraints: metric minus upper limit, or lower limit minus metric.
    Times of day are those of trials one after the other, with their durations; the last one ends now.

    Args:
        run: The run, which may be running.
        path: SQLite file to write.

    Returns:
        Number of trials.

    Raises:
        UsageError: If Optuna is not installed, or the file exists.
        StorageError: If the file cannot be written.
    """
    check_optuna_file(path)
    import optuna  # noqa: PLC0415  an extra

    space = NetworkSpace(run.config.space, 1, 2).search_space  # the same for all channels and classes
    objectives, goals = run.study.objectives, optimized(run.study.objectives)
    distributions = {parameter.name: _distribution(parameter) for parameter in space.parameters}
    trials = [_trial(trial, space, distributions, objectives=objectives) for trial in run.trials]
    _set_times(trials, run.trials)
    with replacing(path) as temporary, warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        verbosity = optuna.logging.get_verbosity()
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        storage = optuna.storages.RDBStorage(f"sqlite:///{temporary.absolute()}")
        try:
            study = optuna.create_study(
                storage=storage, study_name=run.study.name,
                directions=["maximize" if one.maximize else "minimize" for one in goals],
            )  # fmt: skip
            study.set_metric_names([f"{one.name} ({one.unit})" if one.unit else one.name for one in goals])
            study.set_user_attr("seed", run.study.seed)
            study.set_user_attr("reference_point", {one.name: one.reference for one in goals})
            study.add_trials(trials)
        finally:
            optuna.logging.set_verbosity(verbosity)
            storage.remove_session()
            storage.engine.dispose()
    return len(trials)


def _distribution(parameter: ChoiceParameter | ContinuousParameter) -> BaseDistribution:
    from optuna.distributions import CategoricalDistribution, FloatDistribution  # noqa: PLC0415

    if isinstance(parameter, ChoiceParameter):
        return CategoricalDistribution(parameter.values)
    return FloatDistribution(parameter.lower, parameter.upper)


def _trial(
    trial: Trial, space: SearchSpace, distributions: Mapping[str, BaseDistribution], *, objectives: Sequence[Objective]
) -> FrozenTrial:
    from optuna.trial import TrialState, create_trial  # noqa: PLC0415

    states: dict[TrialStatus, TrialState] = {
        "COMPLETED": TrialState.COMPLETE, "FAILED": TrialState.FAIL, "RUNNING": TrialState.RUNNING
    }  # fmt: skip
    active = _active(trial, space)
    attributes: dict[str, object] = {
        "number": trial.number, "generation_s": trial.generation_s, "evaluation_s": trial.evaluation_s
    }  # fmt: skip
    if trial.key:
        attributes["key"] = trial.key
    if trial.reason:
        attributes["reason"] = trial.reason
    system: dict[str, object] = {}
    if trial.status == "COMPLETED":
        attributes |= {f"{name}_sem": value for name, value in trial.sems.items()}
        attributes["operating_points"] = json.dumps([dict(point.metrics) for point in trial.points])
        if excess := violations(trial.metrics, objectives):
            system[CONSTRAINTS] = list(excess)
    return create_trial(
        state=states[trial.status],
        values=[trial.metrics[one.name] for one in optimized(objectives)] if trial.status == "COMPLETED" else None,
        params={name: value for name, value in trial.parameters.items() if name in active},
        distributions={name: distributions[name] for name in trial.parameters if name in active},
        user_attrs=attributes,
        system_attrs=system,
    )


def _set_times(exported: Sequence[FrozenTrial], trials: Sequence[Trial]) -> None:
    """Set times of day, which a study does not store."""
    now = datetime.now()  # Optuna has local times without a zone
    left_s = sum(trial.generation_s + trial.evaluation_s for trial in trials)
    for one, trial in zip(exported, trials, strict=True):
        left_s -= trial.generation_s
        one.datetime_start = now - timedelta(seconds=left_s)
        left_s -= trial.evaluation_s
        if one.state.is_finished():
            one.datetime_complete = now - timedelta(seconds=left_s)


def _active(trial: Trial, space: SearchSpace) -> set[str]:
    """Return the names of the parameters that matter at a trial's point."""
    active: set[str] = set()
    for parameter in space.parameters:
        condition = parameter.active_when
        holds = condition is None or (
            condition.parameter in active and trial.parameters[condition.parameter] in condition.values
        )
        if holds:
            active.add(parameter.name)
    return active
