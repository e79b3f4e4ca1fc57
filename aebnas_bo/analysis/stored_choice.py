"""Selection of a network in a stored run, without importing PyTorch."""

from __future__ import annotations

from aebnas_bo.analysis.selection import Selection, select
from aebnas_bo.search.trial import Observation
from aebnas_bo.search.trial_store import TrialStore
from aebnas_bo.storage.run_folder import RunFolder


def stored_choice(folder: RunFolder, selection: Selection) -> Observation:
    """Return the observation that a selection refers to in a stored run.

    Args:
        folder: The run folder.
        selection: The selection.

    Raises:
        UsageError: If the folder holds no study, or no network meets the selection.
        CorruptStateError: If the study cannot be read.
    """
    folder.require_study()
    with TrialStore.open_read_only(folder.study) as store:
        return select(store.trials(), store.study.objectives, selection)
