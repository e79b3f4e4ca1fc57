"""Contract that every tracker fulfils; inherit and implement the two methods."""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path

from aebnas_bo.tracking.tracker import Record, Tracker


class TrackerContract(ABC):
    """Tests of a tracker."""

    @abstractmethod
    def tracker(self, folder: Path) -> Tracker:
        """Return a tracker of the study in a folder, as a new process would create it."""

    @abstractmethod
    def stored(self, folder: Path, stream: str) -> list[tuple[int, dict[str, float]]]:
        """Return steps and values of a stream in the order of writing."""

    def test_records_of_several_streams_are_stored(self, tmp_path: Path) -> None:
        """Records of several streams are stored with steps and values."""
        tracker = self.tracker(tmp_path)
        tracker.write(Record("search", 0, {"search/accuracy": 50.0, "search/failed": 0.0}))
        tracker.write(Record("supernet", 1, {"training/loss": 2.5}))
        tracker.write(Record("search", 1, {"search/failed": 1.0}))
        tracker.close()
        assert self.stored(tmp_path, "search") == [
            (0, {"search/accuracy": 50.0, "search/failed": 0.0}),
            (1, {"search/failed": 1.0}),
        ]
        assert self.stored(tmp_path, "supernet") == [(1, {"training/loss": 2.5})]

    def test_a_resumed_run_stores_nothing_twice(self, tmp_path: Path) -> None:
        """Records whose steps are stored are ignored, also by a new process."""
        steps = [(step, {"search/accuracy": float(step)}) for step in range(5)]
        for until in (3, 5):
            tracker = self.tracker(tmp_path)
            for step, values in steps[:until]:
                tracker.write(Record("search", step, values))
                tracker.write(Record("search", step, values))
            tracker.close()
        assert self.stored(tmp_path, "search") == steps

    def test_a_run_without_records_closes(self, tmp_path: Path) -> None:
        """A tracker can be closed without a record."""
        self.tracker(tmp_path).close()
