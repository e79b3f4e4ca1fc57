"""A run as it lies in its folder, read without touching it, also while a process works there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from aebnas_bo.config.loading import parse_config
from aebnas_bo.config.schema import Config
from aebnas_bo.errors import CorruptStateError
from aebnas_bo.search.trial import Trial, observations
from aebnas_bo.search.trial_store import StudyRecord, TrialStore
from aebnas_bo.storage.run_folder import RunFolder, resume_command
from aebnas_bo.storage.run_lock import process_at_work

RunState = Literal["training supernet", "searching", "writing results", "finished", "stopped"]


@dataclass(frozen=True)
class StoredRun:
    """What a run folder holds.

    Args:
        folder: The folder.
        config: The configuration of the latest call, whose budget may have grown since the study began.
        study: What the study is.
        trials: Its trials so far, in order.
        process: The process at work in the folder, in words; `None` if there is none.
        has_supernet: Whether the supernet is trained.
    """

    folder: RunFolder
    config: Config
    study: StudyRecord
    trials: tuple[Trial, ...]
    process: str | None
    has_supernet: bool

    @property
    def ended(self) -> tuple[Trial, ...]:
        """Trials that are not being evaluated."""
        return tuple(trial for trial in self.trials if trial.status != "RUNNING")

    @property
    def state(self) -> RunState:
        """What is going on; a run is finished once its budget is spent and nobody is at work."""
        is_spent = len(self.ended) >= self.config.search.budget
        if self.process is None:
            return "finished" if is_spent else "stopped"
        if not self.has_supernet:
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
    # Who is at work is asked first: a run that ends in between is then called running once more, never stopped.
    process, has_supernet = process_at_work(folder.path), folder.supernet.exists()
    with TrialStore.open_read_only(folder.study) as store:
        study, trials = store.study, tuple(store.trials())
    _check_metrics(folder, study, trials)
    return StoredRun(folder, _config(folder, study), study, trials, process, has_supernet)


def _check_metrics(folder: RunFolder, study: StudyRecord, trials: Sequence[Trial]) -> None:
    """Refuse a study whose text was damaged yet still reads."""
    for one in observations(trials):
        missing = [o.name for o in study.objectives if o.name not in one.metrics or o.name not in one.sems]
        if missing or "final" not in one.point.exit_rates:
            raise CorruptStateError(
                f"{folder.study} is damaged: trial {one.number} lacks {', '.join(missing) or 'exit rates'}; restore "
                "it from a copy, or start another run folder"
            )


def _config(folder: RunFolder, study: StudyRecord) -> Config:
    if not folder.config.exists():
        return parse_config(study.config, str(folder.study))
    try:
        text = folder.config.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise CorruptStateError(
            f"{folder.config} cannot be read ({error}); {resume_command(folder)} writes it again"
        ) from error
    return parse_config(text, str(folder.config))
