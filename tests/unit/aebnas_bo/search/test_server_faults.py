"""A database server that is killed in the middle of a search: no trial is lost, repeated or changed."""

from dataclasses import replace

import numpy as np
import pytest

from aebnas_bo.errors import StorageError
from aebnas_bo.search.search_loop import run_search
from aebnas_bo.search.strategy import Proposal
from aebnas_bo.search.study_record import StudyRecord
from aebnas_bo.search.trial import Trial
from aebnas_bo.search.trial_store import TrialStore

TRIALS = 8


class Sampled:
    """Proposes a sample that depends on the number of trials."""

    def __init__(self, space) -> None:
        self.space = space

    def propose(self, trials, count) -> list[Proposal]:
        return [Proposal(self.space.sample(np.random.default_rng(len(trials))))]


class Interrupted:
    """Calls something during an evaluation."""

    def __init__(self, estimator, number: int, call) -> None:
        self.estimator, self.search_space, self.number, self.call = estimator, estimator.search_space, number, call
        self.calls = 0

    def estimate(self, point):
        if self.calls == self.number:
            self.call()
        self.calls += 1
        return self.estimator.estimate(point)


def search(store: TrialStore, estimator, settings) -> list[Trial]:
    settings = settings.model_copy(update={"budget": TRIALS})
    with store.proposer_lock():
        trials = run_search(
            store, Sampled(estimator.search_space), estimator, settings=settings, on_trial=lambda _: None
        )
    return [replace(trial, generation_s=0.0, evaluation_s=0.0) for trial in trials]


@pytest.fixture
def record(objectives) -> StudyRecord:
    return StudyRecord("toy", 0, "f", "", objectives)


@pytest.fixture
def expected(tmp_path, record, estimator, settings) -> list[Trial]:
    """The trials of the same search on SQLite."""
    with TrialStore.create(tmp_path / "s.db", record) as store:
        return search(store, estimator, settings)


def test_a_server_restarted_during_an_evaluation_is_not_noticed(
    postgresql, record, estimator, settings, expected
) -> None:
    def restart() -> None:
        postgresql.stop("immediate")
        postgresql.start()

    interrupted = Interrupted(estimator, 3, restart)
    with TrialStore.create(postgresql.new_database(), record) as store:
        assert search(store, interrupted, settings) == expected
    assert interrupted.calls == TRIALS


def test_a_dead_server_ends_the_search_which_goes_on_later(postgresql, record, estimator, settings, expected) -> None:
    interrupted = Interrupted(estimator, 3, lambda: postgresql.stop("immediate"))
    with TrialStore.create(postgresql.new_database(), record) as store:
        try:
            with pytest.raises(StorageError, match="check that the server is running"):
                search(store, interrupted, settings)
        finally:
            postgresql.start()
        place = store.place
    with TrialStore.open(place) as store:
        assert [trial.status for trial in store.trials()] == [*3 * ["COMPLETED"], "RUNNING"]
        assert search(store, interrupted, settings) == expected
    assert interrupted.calls == TRIALS + 1  # the trial that was running is evaluated again
