"""Turns what happens in a run into records, and passes them to trackers whose failures never end the run."""

from __future__ import annotations

import logging
import math
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from aebnas_bo.analysis.hypervolume import hypervolume_curve
from aebnas_bo.analysis.plots import plot_pareto_front
from aebnas_bo.errors import error_text
from aebnas_bo.search.objectives import Objective
from aebnas_bo.search.trial import Trial
from aebnas_bo.tracking.tracker import Record, Tracker
from aebnas_bo.training.training_loop import EpochReport

logger = logging.getLogger(__name__)

PICTURE_SHARE = 0.004  # of the time of a search, for pictures of the front while it runs
FIRST_PICTURE_S = 0.5  # assumed duration of the first one

MakeTracker = Callable[[], Tracker]


@dataclass(frozen=True)
class SearchState:
    """State of a search after a trial.

    Args:
        trials: All trials so far, in order.
        objectives: Directions and reference point.
        design_trials: Size of the initial design.
        hypervolume: Hypervolume of the trials with further operating points.
    """

    trials: Sequence[Trial]
    objectives: Sequence[Objective]
    design_trials: int
    hypervolume: float


class Watcher:
    """Passes the figures of a run to its trackers.

    A tracker is created with the first record. One that fails is switched off with a warning.

    Args:
        trackers: Functions that create the trackers, by name.
    """

    def __init__(self, trackers: Mapping[str, MakeTracker]) -> None:
        self._waiting = dict(trackers)
        self._trackers: dict[str, Tracker] = {}
        self._trials_sent = 0
        self._last_picture, self._picture_s = time.monotonic(), FIRST_PICTURE_S

    def search(self, state: SearchState) -> None:
        """Send the trials that were not sent yet; after resuming, those are all trials."""
        if not self._is_on:
            return
        new = state.trials[self._trials_sent :]
        curve = {new[-1].number: state.hypervolume} if new else {}
        if len(new) > 1:
            curve = dict(hypervolume_curve(state.trials, state.objectives, has_settings=True))
        failed = sum(trial.status == "FAILED" for trial in state.trials[: self._trials_sent])
        for trial in new:
            failed += trial.status == "FAILED"
            values = {"search/hypervolume": curve[trial.number], "search/failed": float(failed)}
            values |= {f"search/{name}": value for name, value in trial.metrics.items()}
            values |= {"seconds/proposal": trial.generation_s, "seconds/evaluation": trial.evaluation_s}
            self.record("search", trial.number, values)
        self._trials_sent = len(state.trials)
        if new and time.monotonic() - self._last_picture > self._picture_s / PICTURE_SHARE:
            self._draw(state)

    def epoch(self, stream: str, report: EpochReport) -> None:
        """Send the figures of an epoch.

        Args:
            stream: Stream of the training.
            report: The epoch's report.
        """
        values = {
            "training/loss": report.loss,
            "training/learning_rate": report.learning_rate,
            "training/images_per_s": report.images_per_s,
            "training/rollbacks": float(report.rollbacks),
        }
        for output in report.outputs:
            values |= {f"{output.name}/loss": output.loss, f"{output.name}/accuracy": output.accuracy}
        self.record(stream, report.epoch, values)

    def picture(self, stream: str, step: int, path: Path) -> None:
        """Send a picture.

        Args:
            stream: Name of the stream and of the picture.
            step: Number of trials or epochs that it shows.
            path: PNG file.
        """
        if not self._is_on:
            return
        try:
            png = path.read_bytes()
        except OSError as error:
            logger.warning("%s is not tracked: %s", path.name, error_text(error))
            return
        self.record(stream, step, {}, pictures={stream: png})

    def record(
        self, stream: str, step: int, values: Mapping[str, float], *, pictures: Mapping[str, bytes] | None = None
    ) -> None:
        """Send a record; values that are not finite are left out.

        Args:
            stream: Name of the stream.
            step: Number of the trial or epoch.
            values: Figures by name.
            pictures: PNG files by name.
        """
        finite = {name: float(value) for name, value in values.items() if math.isfinite(value)}
        record = Record(stream, step, finite, pictures or {})
        for name, make in self._waiting.items():
            self._guarded(name, partial(self._start, name, make))
        self._waiting = {}
        for name, tracker in list(self._trackers.items()):
            self._guarded(name, partial(tracker.write, record))

    def close(self) -> None:
        """Close the trackers."""
        for name, tracker in self._trackers.items():
            try:
                tracker.close()
            except Exception as error:  # as of every call of a tracker
                logger.warning("tracker %s: %s", name, error_text(error))
        self._trackers = {}

    @property
    def _is_on(self) -> bool:
        return bool(self._waiting or self._trackers)

    def _start(self, name: str, make: MakeTracker) -> None:
        self._trackers[name] = make()

    def _guarded(self, name: str, action: Callable[[], object]) -> None:
        try:
            action()
        except Exception as error:  # whatever a tracker's library raises
            self._trackers.pop(name, None)
            logger.warning("tracker %s failed and is switched off; the run continues: %s", name, error_text(error))

    def _draw(self, state: SearchState) -> None:
        started = time.monotonic()
        try:
            with tempfile.TemporaryDirectory() as folder:
                path = Path(folder) / "front.png"
                plot_pareto_front(path, state.trials, state.objectives, design_trials=state.design_trials)
                self.picture("front", len(state.trials), path)
        except OSError as error:
            self._picture_s = math.inf
            logger.warning("the front is not drawn while the search runs: %s", error_text(error))
            return
        self._last_picture = time.monotonic()
        self._picture_s = self._last_picture - started


NOBODY = Watcher({})
"""Watcher without trackers."""
