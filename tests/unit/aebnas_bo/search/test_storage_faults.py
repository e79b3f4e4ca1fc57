"""A full disk at each write of a search: nothing is lost, and no result is another one."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from aebnas_bo.analysis.tables import write_tables
from aebnas_bo.early_exit.exit_rule import ExitTable
from aebnas_bo.errors import StorageError
from aebnas_bo.estimation.table_store import MeasuredNetwork, TableStore
from aebnas_bo.search.search_loop import run_search
from aebnas_bo.search.strategy import Proposal
from aebnas_bo.search.study_record import StudyRecord
from aebnas_bo.search.trial import Trial
from aebnas_bo.search.trial_store import TrialStore
from aebnas_bo.storage.atomic_files import replacing
from tests.faulty_disk import FaultyDisk

TRIALS = 3
TABLE = ExitTable(torch.rand(2, 4), torch.ones(2, 4, dtype=torch.bool), (1, 2), "confidence")


class Sampled:
    """Proposes sample after sample."""

    def __init__(self, space) -> None:
        self.space = space

    def propose(self, trials, count) -> list[Proposal]:
        return [Proposal(self.space.sample(np.random.default_rng(len(trials))))]


class StoringEstimator:
    """Keeps what it measures in a folder, as the estimator with a supernet does."""

    def __init__(self, estimator, folder: Path) -> None:
        self.estimator, self.search_space, self.store = estimator, estimator.search_space, TableStore(folder, "f")

    def estimate(self, point):
        found = self.estimator.estimate(point)
        if self.store.load(found.key) is None:
            self.store.save(found.key, MeasuredNetwork(TABLE, {}))
        return found


def search(folder: Path, estimator, objectives, settings) -> list[Trial]:
    """Search in a folder, or go on there, and write the tables."""
    folder.mkdir(exist_ok=True)
    study = folder / "study.db"
    if not study.exists():
        with replacing(study) as temporary, TrialStore.create(temporary, StudyRecord("toy", 0, "f", "", objectives)):
            pass
    storing = StoringEstimator(estimator, folder / "estimates")
    with TrialStore.open(study) as store:
        settings = settings.model_copy(update={"budget": TRIALS, "max_failed_trials": TRIALS})
        trials = run_search(store, Sampled(storing.search_space), storing, settings=settings, on_trial=lambda t: None)
        write_tables(folder, [replace(t, generation_s=0.0, evaluation_s=0.0) for t in trials], objectives,
                     parameter_names=storing.search_space.names, exit_names=("exit1_rate", "final_rate"))  # fmt: skip
    return trials


def contents(folder: Path) -> dict[str, bytes]:
    """Return the files of a folder; of weights, whose headers are in no order, the names alone."""
    return {
        str(path.relative_to(folder)): path.read_bytes() if path.suffix == ".csv" else b""
        for path in folder.rglob("*")
        if path.is_file() and not path.name.startswith("study.db")
    }


@pytest.mark.parametrize("lasts", [False, True])
@pytest.mark.slow
def test_a_full_disk_at_any_write_loses_and_changes_nothing(
    lasts: bool, tmp_path: Path, estimator, objectives, settings, monkeypatch
) -> None:
    disk = FaultyDisk(monkeypatch)
    search(tmp_path / "whole", estimator, objectives, settings)
    writes, expected = list(disk.writes), contents(tmp_path / "whole")
    assert {"do_commit", "do_execute", "fsync", "replace", "mkdir", "write_bytes"} <= set(writes)
    for number in range(1, len(writes)):  # the first makes the test's own folder
        folder = tmp_path / str(number)
        disk.reset(number, lasts=lasts)
        with pytest.raises(StorageError, match=r"space|full"):
            search(folder, estimator, objectives, settings)
        disk.reset()
        trials = search(folder, estimator, objectives, settings)
        assert [trial.status for trial in trials] == TRIALS * ["COMPLETED"], number
        assert contents(folder) == expected, number
