from dataclasses import replace

import pytest

from aebnas_bo.errors import CorruptStateError, UsageError
from aebnas_bo.estimation.estimate import OperatingPoint
from aebnas_bo.search.study_list import find_study, list_studies
from aebnas_bo.search.study_record import StudyRecord
from aebnas_bo.search.trial import Trial
from aebnas_bo.search.trial_store import TrialStore
from aebnas_bo.storage.shared_study import SharedStudy

RUNNING = Trial(0, "", "RUNNING", {"accuracy": 99.0})


@pytest.fixture
def url(postgresql, objectives) -> str:
    """Three studies: one with trials, two of one name."""
    place = postgresql.new_database()
    for name, seed in (("toy", 3), ("other", 0), ("other", 1)):
        TrialStore.create(place, StudyRecord(name, seed, "f", "", objectives)).close()
    with TrialStore.open(SharedStudy(place, 1)) as store:
        for number, accuracy in enumerate((81.5, 92.25, None, 7e-05)):
            running = replace(RUNNING, number=number)
            store.add_running(running)
            metrics = {"average_macs": 1.0, "accuracy": accuracy}
            further = OperatingPoint({"accuracy": 95.0, "average_macs": 2.0}, {"accuracy": 0.0, "average_macs": 0.0})
            point = OperatingPoint(metrics, {"accuracy": 0.0, "average_macs": 0.0})
            done = replace(running, key="k", status="COMPLETED", points=(point, further))
            store.finish(done if accuracy else replace(running, status="FAILED", reason="none"))
        store.add_running(replace(RUNNING, number=4))
    return place


def test_studies_are_listed_with_their_figures(url: str) -> None:
    with TrialStore.open(SharedStudy(url, 2)) as store, store.proposer_lock():
        first, second, third = list_studies(url)
    assert (first.study_id, first.name, first.seed) == (1, "toy", 3)
    assert (first.completed, first.running, first.failed, first.best_accuracy) == (3, 1, 1, 92.25)
    assert 0.0 <= first.changed_s <= first.created_s < 600.0
    assert (second.completed, second.best_accuracy) == (0, None)
    assert second.changed_s == pytest.approx(second.created_s, abs=0.01)
    assert (first.process, third.process) == (None, None)
    assert "process" in (second.process or "")


def test_a_study_is_found_by_number_or_name(url: str, postgresql, objectives) -> None:
    assert find_study(url, "2") == SharedStudy(url, 2)
    assert find_study(url, "toy") == SharedStudy(url, 1)
    with pytest.raises(UsageError, match=r"several such studies; .*--study NUMBER: 2 \(other, seed 0\), 3 \(other"):
        find_study(url, "other")
    with pytest.raises(UsageError, match=r"holds no study 9; .*1 \(toy, seed 3\)"):
        find_study(url, "9")
    with pytest.raises(UsageError, match="several such studies"):
        find_study(url, None)
    alone = postgresql.new_database()
    TrialStore.create(alone, StudyRecord("toy", 0, "f", "", objectives)).close()
    assert find_study(alone, None) == SharedStudy(alone, 1)


def test_an_empty_database_holds_no_studies(postgresql) -> None:
    with pytest.raises(CorruptStateError, match="holds no study of this program"):
        list_studies(postgresql.new_database())
