"""Read-only view of a run folder, which may be in use by a running process."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from aebnas_bo.config.loading import parse_config
from aebnas_bo.config.schema import Config
from aebnas_bo.search.study_record import StudyRecord
from aebnas_bo.search.trial import Trial
from aebnas_bo.search.trial_store import TrialStore
from aebnas_bo.storage.run_folder import RunFolder
from aebnas_bo.storage.run_lock import process_at_work
from aebnas_bo.storage.shared_study import SharedStudy

RunState = Literal["training supernet", "searching", "writing results", "finished", "stopped"]

NO_FOLDER = RunFolder(Path("(no run folder)"))


@dataclass(frozen=True)
class StoredRun:
    """Contents of a run folder.

    Args:
        folder: The folder.
        config: The configuration of the latest call, as stored in the study. The budget may have grown since its
            creation, and `config.yaml` may have been edited.
        study: Record of the study.
        trials: Its trials so far, in order.
        process: Description of the running process; `None` if there is none.
        has_supernet: Whether the supernet is trained.
        changed_s: Seconds since the last change of the study in a shared database; `None` for one in the run folder,
            whose files tell.
        origin: Place of a study that was read without its run folder; `None` with a folder.
    """

    folder: RunFolder
    config: Config
    study: StudyRecord
    trials: tuple[Trial, ...]
    process: str | None
    has_supernet: bool
    changed_s: float | None = None
    origin: str | None = None

    @property
    def ended(self) -> tuple[Trial, ...]:
        """Completed and failed trials."""
        return tuple(trial for trial in self.trials if trial.status != "RUNNING")

    @property
    def awaits_supernet(self) -> bool:
        """Whether the search waits for its supernet; an estimator passed from Python needs none."""
        return not self.has_supernet and self.config.estimation.estimator is None

    @property
    def state(self) -> RunState:
        """State of the run; it is finished once its budget is spent and no process is running."""
        is_spent = len(self.ended) >= self.config.search.budget
        if self.process is None:
            return "finished" if is_spent else "stopped"
        if self.awaits_supernet:
            return "training supernet"
        return "writing results" if is_spent else "searching"


def read_run(folder: RunFolder) -> StoredRun:
    """Read a run folder.

    Args:
        folder: The folder of a run.

    Raises:
        UsageError: If there is no such folder or it holds no study.
        ConfigError: If its configuration does not fit this version.
        CorruptStateError: If its study cannot be read.
    """
    folder.require_study()
    # Look up the process first: a run that ends in between is then reported as running, never as stopped.
    process, has_supernet = process_at_work(folder.path), folder.supernet.exists()
    with TrialStore.open_read_only(folder.study) as store:
        process = process or store.proposer()  # another folder may name the same study
        changed_s = None if isinstance(store.place, Path) else store.seconds_since_change()
        study, trials, origin = store.study, tuple(store.trials()), store.origin
    return StoredRun(folder, parse_config(study.config, origin), study, trials, process, has_supernet, changed_s)


def read_shared_run(place: SharedStudy) -> StoredRun:
    """Read a study of a shared database without its run folder; a supernet in training is not seen.

    Args:
        place: Place of the study.

    Raises:
        ConfigError: If its configuration does not fit this version.
        CorruptStateError: If the study cannot be read.
        StorageError: If the database cannot be reached.
    """
    with TrialStore.open_read_only(place) as store:
        process, study, trials = store.proposer(), store.study, tuple(store.trials())
        changed_s = store.seconds_since_change()
    config = parse_config(study.config, str(place))
    return StoredRun(
        NO_FOLDER, config, study, trials, process, has_supernet=True, changed_s=changed_s, origin=str(place)
    )
