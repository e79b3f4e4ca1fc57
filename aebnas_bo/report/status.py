"""Status of a run, for `aebnas-bo status`."""

from __future__ import annotations

import statistics
import time
from dataclasses import dataclass
from pathlib import Path

from aebnas_bo.analysis.front_table import limits_text
from aebnas_bo.analysis.hypervolume import hypervolume
from aebnas_bo.analysis.pareto import pareto_front
from aebnas_bo.analysis.selection import Selection, select
from aebnas_bo.errors import CorruptStateError
from aebnas_bo.report.number_text import duration_text
from aebnas_bo.report.stored_run import RunState, StoredRun
from aebnas_bo.search.trial import Observation, Trial
from aebnas_bo.storage.count_text import counted
from aebnas_bo.storage.tensor_metadata import load_metadata

RECENT_TRIALS = 20  # trials whose median time is the estimate for later ones


@dataclass(frozen=True)
class FoundNetwork:
    """Observation on the front.

    Args:
        key: Key of the network.
        trial: Number of its trial.
        accuracy: Estimated accuracy in percent.
        average_macs: Estimated average MACs in millions.
    """

    key: str
    trial: int
    accuracy: float
    average_macs: float


@dataclass(frozen=True)
class LastTrial:
    """Last finished trial.

    Args:
        number: Its number.
        status: Its status.
        proposal_s: Seconds spent on the proposal.
        evaluation_s: Seconds spent on the evaluation.
    """

    number: int
    status: str
    proposal_s: float
    evaluation_s: float


@dataclass(frozen=True)
class RunStatus:
    """Status of a run; field names are the keys of the JSON document.

    Args:
        folder: The run folder, or the place of a study that was read without it.
        name: Name of the study.
        state: State of the run.
        process: Description of the running process; `None` if there is none.
        estimator: Name of the estimator passed from Python; `None` if the study uses a supernet.
        supernet_epoch: Epochs of supernet training in the checkpoint; `None` after training, or before the first epoch.
        supernet_epochs: Total epochs of supernet training.
        trials: Number of finished trials.
        budget: Total number of trials.
        failed: Number of failed trials.
        hypervolume: Hypervolume so far, including further operating points.
        front_size: Number of observations on the front.
        most_accurate: The most accurate observation; `None` if no network is feasible.
        knee: The knee of the front; `None` if no network is feasible.
        limits: Text on how the limits of the search are met; empty without limits.
        last_trial: The last finished trial.
        last_change_s: Seconds since the last write to the study or to the supernet's checkpoint.
        seconds_left: Estimated seconds until the budget is spent, from the latest trials; `None` before the first
            proposal after the initial design, or if no process is running.
    """

    folder: str
    name: str
    state: RunState
    process: str | None
    estimator: str | None
    supernet_epoch: int | None
    supernet_epochs: int
    trials: int
    budget: int
    failed: int
    hypervolume: float
    front_size: int
    most_accurate: FoundNetwork | None
    knee: FoundNetwork | None
    limits: str
    last_trial: LastTrial | None
    last_change_s: float
    seconds_left: float | None


def run_status(run: StoredRun) -> RunStatus:
    """Return the status of a run."""
    objectives, ended = run.study.objectives, run.ended
    front = pareto_front(run.trials, objectives)
    return RunStatus(
        folder=run.origin or str(run.folder.path),
        name=run.study.name,
        state=run.state,
        process=run.process,
        estimator=run.config.estimation.estimator,
        supernet_epoch=_safe_epoch(run) if run.awaits_supernet else None,
        supernet_epochs=run.config.supernet.epochs,
        trials=len(ended),
        budget=run.config.search.budget,
        failed=sum(trial.status == "FAILED" for trial in ended),
        hypervolume=hypervolume(run.trials, objectives, has_settings=True),
        front_size=len(front),
        most_accurate=_found(select(run.trials, objectives, Selection("best-accuracy"))) if front else None,
        knee=_found(select(run.trials, objectives, Selection("knee"))) if front else None,
        limits=limits_text(run.trials, objectives),
        last_trial=_last(ended[-1]) if ended else None,
        last_change_s=_seconds_since_change(run),
        seconds_left=_seconds_left(run),
    )


def status_rows(status: RunStatus) -> list[tuple[str, str]]:
    """Format a status as rows of name and text."""
    rows = [("study", status.name), ("state", f"{status.state}{f': {status.process}' if status.process else ''}")]
    if status.estimator is not None:
        rows.append(("estimator", f"{status.estimator}, passed from Python"))
    if status.supernet_epoch is not None:
        rows.append(("supernet", f"epoch {status.supernet_epoch} of {status.supernet_epochs}"))
    rows.append(("trials", f"{status.trials} of {status.budget}, {status.failed} failed"))
    if status.most_accurate is not None and status.knee is not None:
        rows += [
            ("best accuracy", _network_text(status.most_accurate)),
            ("knee", _network_text(status.knee)),
            ("front", f"{counted(status.front_size, 'point')}, hypervolume {status.hypervolume:.4f}"),
        ]
    if status.limits:
        rows.append(("limits", status.limits))
    if status.last_trial is not None:
        last = status.last_trial
        text = f"{last.number}, {last.status.lower()}: {last.proposal_s:.2f} s to propose, {last.evaluation_s:.2f} s"
        rows.append(("last trial", f"{text} to evaluate"))
    rows.append(("last change", f"{duration_text(status.last_change_s)} ago"))
    if status.seconds_left is not None:
        rows.append(("time left", f"about {duration_text(status.seconds_left)}"))
    return rows


def _network_text(network: FoundNetwork) -> str:
    return f"{network.accuracy:.2f} % at {network.average_macs:.4g} M average MACs ({network.key})"


def _found(observed: Observation) -> FoundNetwork:
    return FoundNetwork(observed.key, observed.number, observed.metrics["accuracy"], observed.metrics["average_macs"])


def _last(trial: Trial) -> LastTrial:
    return LastTrial(trial.number, trial.status, trial.generation_s, trial.evaluation_s)


def _safe_epoch(run: StoredRun) -> int | None:
    try:
        return int(load_metadata(run.folder.checkpoint)["epoch"])
    except (CorruptStateError, KeyError, ValueError):  # not written yet, or being replaced
        return None


def _seconds_since_change(run: StoredRun) -> float:
    study = run.folder.study_file
    places = (study, study.with_name(f"{study.name}-wal"), run.folder.checkpoint)
    of_files = max(time.time() - max(map(_time_written, places)), 0.0)
    return of_files if run.changed_s is None else min(of_files, run.changed_s)


def _time_written(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except FileNotFoundError:  # not written yet, or removed after training
        return 0.0


def _seconds_left(run: StoredRun) -> float | None:
    proposed = [trial for trial in run.ended if trial.number >= run.config.search.design_trials]
    if run.state != "searching" or not proposed:
        return None
    each = statistics.median(trial.generation_s + trial.evaluation_s for trial in proposed[-RECENT_TRIALS:])
    return each * (run.config.search.budget - len(run.ended))
