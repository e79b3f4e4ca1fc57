"""Cost of trackers: seconds that a run spends in them, in comparison with its duration.

Repeats the records of a finished run: `python -m benchmarks.tracking_cost RUN --tracker tensorboard`. The wall clock of
two runs differs by more than the cost, so that their difference shows nothing.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from aebnas_bo.analysis.hypervolume import hypervolume_curve
from aebnas_bo.report.stored_run import StoredRun, read_run
from aebnas_bo.storage.run_folder import RunFolder
from aebnas_bo.tracking.settings import TrackingConfig
from aebnas_bo.tracking.watcher import SearchState, Watcher
from aebnas_bo.tracking.watching import watching
from aebnas_bo.training.epoch_outputs import EpochOutput
from aebnas_bo.training.training_loop import EpochReport


def main() -> None:
    """Print one JSON document."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path, help="folder of a finished run")
    parser.add_argument("--tracker", choices=("tensorboard", "mlflow"), default="tensorboard")
    arguments = parser.parse_args()
    run = read_run(RunFolder(arguments.run))
    print(json.dumps(measured(run, arguments.tracker), indent=2))  # noqa: T201  its result


def measured(run: StoredRun, tracker: str) -> dict[str, float | str]:
    """Return the seconds of epochs, trials, the last picture and closing, and their share of the run."""
    config = run.config.model_copy(update={"tracking": TrackingConfig.model_validate({"trackers": (tracker,)})})
    seconds: dict[str, float] = {}
    curve = hypervolume_curve(run.trials, run.study.objectives, has_settings=True)
    with tempfile.TemporaryDirectory() as place, watching(config, RunFolder(Path(place))) as watcher:
        _timed(seconds, "epochs", lambda: _epochs(watcher, run))
        _timed(seconds, "trials", lambda: _trials(watcher, run, curve))
        _timed(seconds, "picture", lambda: watcher.picture("front", len(run.trials), run.folder.front_figure))
        _timed(seconds, "closing", watcher.close)
    lasted = json.loads(run.folder.summary.read_text(encoding="utf-8"))["seconds"]
    total = sum(value for name, value in lasted.items() if not name.endswith("_median"))
    during = sum(value for name, value in seconds.items() if name != "closing")
    return {"tracker": tracker, **seconds, "run_s": total, "percent": 100.0 * during / total}


def _timed(seconds: dict[str, float], name: str, action: Callable[[], object]) -> None:
    started = time.perf_counter()
    action()
    seconds[name] = time.perf_counter() - started


def _epochs(watcher: Watcher, run: StoredRun) -> None:
    outputs = tuple(EpochOutput(position, 1.0, 50.0) for position in (*range(len(run.config.space.exits)), None))
    epochs = run.config.supernet.epochs
    for epoch in range(epochs):
        watcher.epoch("supernet", EpochReport(epoch + 1, epochs, 1.0, 0.1, 1000.0, 0, outputs))


def _trials(watcher: Watcher, run: StoredRun, curve: list[tuple[int, float]]) -> None:
    state = SearchState((), run.study.objectives, run.config.search.design_trials, 0.0)
    for number, volume in curve:
        watcher.search(replace(state, trials=run.trials[: number + 1], hypervolume=volume))


if __name__ == "__main__":
    main()
