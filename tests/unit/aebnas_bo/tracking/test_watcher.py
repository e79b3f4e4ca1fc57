"""Records of a run, and trackers that fail."""

import logging
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from aebnas_bo.analysis.hypervolume import hypervolume_curve
from aebnas_bo.search.objectives import Objective
from aebnas_bo.search.trial import Trial
from aebnas_bo.tracking.tracker import Record, Tracker
from aebnas_bo.tracking.watcher import NOBODY, SearchState, Watcher
from aebnas_bo.training.epoch_outputs import EpochOutput
from aebnas_bo.training.training_loop import EpochReport

from ....made_trials import completed

OBJECTIVES = (Objective("accuracy", True, 10.0, unit="%"), Objective("average_macs", False, 5.0, unit="M"))
TRIALS = [
    completed(number, f"{number}", {"a": number}, {"accuracy": 50.0 + number, "average_macs": 2.0 + number / 10})
    for number in range(3)
] + [Trial(3, "", "FAILED", {"a": 3}, reason="broken")]


class Recording:
    """Tracker that keeps its records in memory."""

    def __init__(self, fails_at: int | None = None) -> None:
        self.records: list[Record] = []
        self.is_closed = False
        self._fails_at = fails_at

    def write(self, record: Record) -> None:
        if len(self.records) == self._fails_at:
            raise RuntimeError("server is gone")
        self.records.append(record)

    def close(self) -> None:
        self.is_closed = True


def _state(trials: list[Trial]) -> SearchState:
    curve = hypervolume_curve(trials, OBJECTIVES, has_settings=True)
    return SearchState(trials, OBJECTIVES, 2, curve[-1][1])


def _watched(*trackers: Tracker) -> Watcher:
    makers: dict[str, Callable[[], Tracker]] = {}
    for number, tracker in enumerate(trackers):
        makers[f"number{number}"] = lambda tracker=tracker: tracker
    return Watcher(makers)


def test_every_trial_is_sent_once_with_the_hypervolume_after_it() -> None:
    tracker = Recording()
    watcher = _watched(tracker)
    for count in (2, 3, 3, 4):  # a resumed run starts with several
        watcher.search(_state(TRIALS[:count]))
    assert [(record.stream, record.step) for record in tracker.records] == [("search", step) for step in range(4)]
    expected = [value for _, value in hypervolume_curve(TRIALS, OBJECTIVES, has_settings=True)]
    assert [record.values["search/hypervolume"] for record in tracker.records] == expected
    assert [record.values["search/failed"] for record in tracker.records] == [0.0, 0.0, 0.0, 1.0]
    assert tracker.records[1].values["search/average_macs"] == 2.1
    assert "search/accuracy" not in tracker.records[3].values


def test_an_epoch_has_the_figures_of_every_output() -> None:
    tracker = Recording()
    outputs = (EpochOutput(0, 1.5, 40.0), EpochOutput(None, math.nan, 60.0))
    _watched(tracker).epoch("supernet", EpochReport(3, 9, 2.0, 0.1, 500.0, 1, outputs))
    [record] = tracker.records
    assert (record.stream, record.step) == ("supernet", 3)
    assert record.values == {
        "training/loss": 2.0, "training/learning_rate": 0.1, "training/images_per_s": 500.0, "training/rollbacks": 1.0,
        "exit1/loss": 1.5, "exit1/accuracy": 40.0, "final/accuracy": 60.0,
    }  # fmt: skip


def test_a_failing_tracker_is_switched_off_with_one_warning(caplog) -> None:
    broken, sound = Recording(fails_at=1), Recording()
    watcher = _watched(broken, sound)
    with caplog.at_level(logging.WARNING):
        for count in range(1, 5):
            watcher.search(_state(TRIALS[:count]))
        watcher.close()
    assert [record.getMessage() for record in caplog.records] == [
        "tracker number0 failed and is switched off; the run continues: RuntimeError: server is gone"
    ]
    assert (len(broken.records), broken.is_closed) == (1, False)
    assert (len(sound.records), sound.is_closed) == (4, True)


def test_a_tracker_that_cannot_be_closed_is_a_warning_and_others_are_closed(caplog) -> None:
    class Late(Recording):
        def close(self) -> None:
            raise OSError("some figures follow")

    late, sound = Late(), Recording()
    watcher = _watched(late, sound)
    watcher.search(_state(TRIALS[:1]))
    with caplog.at_level(logging.WARNING):
        watcher.close()
    assert [record.getMessage() for record in caplog.records] == ["tracker number0: OSError: some figures follow"]
    assert sound.is_closed


def test_a_tracker_that_cannot_start_is_switched_off(caplog) -> None:
    def fails() -> Tracker:
        raise OSError("no folder")

    sound = Recording()
    watcher = Watcher({"broken": fails, "sound": lambda: sound})
    with caplog.at_level(logging.WARNING):
        watcher.search(_state(TRIALS))
        watcher.close()
    assert len(caplog.records) == 1
    assert len(sound.records) == 4


def test_the_front_is_drawn_rarely_and_failures_of_drawing_are_warnings(monkeypatch, caplog) -> None:
    tracker, now = Recording(), [0.0]
    monkeypatch.setattr("aebnas_bo.tracking.watcher.time.monotonic", lambda: now[0])
    drawn: list[int] = []

    def draw(path: Path, trials: list[Trial], *_: object, **__: object) -> None:
        drawn.append(len(trials))
        now[0] += 1.0
        path.write_bytes(b"png")

    monkeypatch.setattr("aebnas_bo.tracking.watcher.plot_pareto_front", draw)
    watcher = _watched(tracker)
    for number in range(100):
        now[0] += 20.0
        watcher.search(_state([replace(TRIALS[0], number=one) for one in range(number + 1)]))
    assert drawn[0] * 20.0 > 0.5 / 0.004
    assert len(drawn) < 0.004 * 2000.0 + 1  # seconds of drawing
    assert [record.step for record in tracker.records if record.stream == "front"] == drawn

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("aebnas_bo.tracking.watcher.plot_pareto_front", full)
    with caplog.at_level(logging.WARNING):
        for number in range(100, 200):
            now[0] += 1000.0
            watcher.search(_state([replace(TRIALS[0], number=one) for one in range(number + 1)]))
    assert len(caplog.records) == 1


def test_nobody_is_told_anything(tmp_path: Path) -> None:
    NOBODY.search(_state(TRIALS))
    NOBODY.picture("front", 1, tmp_path / "missing.png")
    NOBODY.close()


def test_a_picture_that_cannot_be_read_is_a_warning(tmp_path: Path, caplog) -> None:
    tracker = Recording()
    with caplog.at_level(logging.WARNING):
        _watched(tracker).picture("front", 1, tmp_path / "missing.png")
    assert "missing.png is not tracked" in caplog.text
    assert not tracker.records


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_values_that_are_not_finite_are_left_out(value: float) -> None:
    tracker = Recording()
    _watched(tracker).record("search", 0, {"loss": value, "accuracy": 1.0})
    assert tracker.records[0].values == {"accuracy": 1.0}
