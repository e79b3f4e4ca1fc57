"""Process that writes records to MLflow: `MlflowTracker` starts it and sends one JSON document per line to its stdin.

The first line is the target. An error is printed to stdout and ends the process.
"""

from __future__ import annotations

import base64
import json
import queue
import sys
import tempfile
import threading
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TypedDict

from mlflow import MlflowClient
from mlflow.entities import Metric, Param, RunTag
from mlflow.utils.mlflow_tags import MLFLOW_PARENT_RUN_ID, MLFLOW_RUN_NOTE

from aebnas_bo.errors import error_text
from aebnas_bo.storage.atomic_files import write_text

MOST_METRICS = 900  # of one request; MLflow accepts 1000
NETWORK_STREAMS = ("trained", "short")
LONGEST_PARAMETER = 250
DESCRIPTION = (
    "A search of aebnas_bo. Steps of `search` and `seconds` are trials, those of other metrics are epochs. Nested runs "
    "are networks that were trained separately. Pictures of the Pareto front are among the artifacts."
)


class Line(TypedDict):
    """Record as JSON; pictures are encoded in base64."""

    stream: str
    step: int
    values: dict[str, float]
    pictures: dict[str, str]
    time: float


class MlflowWriter:
    """Writes records to the runs of a study.

    Args:
        target: Document of an `MlflowTarget`.
    """

    def __init__(self, target: Mapping[str, object]) -> None:
        self._target = target
        self._client = MlflowClient(tracking_uri=str(target["uri"]))
        self._runs_file = Path(str(target["runs_file"]))
        self._experiment = self._experiment_id(str(target["experiment"]))
        self._known = self._stored_runs()
        self._runs: dict[str, str] = {}
        self._last: dict[str, int] = {}

    def write(self, lines: Iterable[Line]) -> None:
        """Write records in as few requests as possible; records that are already stored are ignored."""
        metrics: dict[str, list[Metric]] = {}
        for line in lines:
            network, prefix = _place(line["stream"])
            run = self._run(network)
            if line["step"] <= self._last_step(run, line, prefix):
                continue
            self._last[line["stream"]] = line["step"]
            found = metrics.setdefault(run, [])
            milliseconds = round(1000 * line["time"])
            found += [Metric(f"{prefix}{n}", v, milliseconds, line["step"]) for n, v in line["values"].items()]
            if len(found) >= MOST_METRICS:
                self._log(run, found)
                metrics[run] = []
            for name, encoded in line["pictures"].items():
                self._log_picture(run, f"{name}-{line['step']:05d}.png", base64.b64decode(encoded))
        for run, found in metrics.items():
            self._log(run, found)

    def end(self) -> None:
        """Mark the runs as finished."""
        for run in self._runs.values():
            self._client.set_terminated(run)

    def _log(self, run: str, metrics: list[Metric]) -> None:
        for start in range(0, len(metrics), MOST_METRICS):
            self._client.log_batch(run, metrics=metrics[start : start + MOST_METRICS])

    def _log_picture(self, run: str, name: str, png: bytes) -> None:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / name
            path.write_bytes(png)
            self._client.log_artifact(run, str(path))

    def _experiment_id(self, name: str) -> str:
        known = self._client.get_experiment_by_name(name)
        if known is not None:
            return str(known.experiment_id)
        is_database = not str(self._target["uri"]).startswith("http")  # a server has its own place for files
        folder = Path(str(self._target["artifacts"])).as_uri() if is_database else None
        return str(self._client.create_experiment(name, artifact_location=folder))

    def _stored_runs(self) -> dict[str, str]:
        """Return the runs of the study in this place, by network; the study's own has an empty name."""
        try:
            document = json.loads(self._runs_file.read_text(encoding="utf-8"))
            return dict(document["runs"]) if document["uri"] == self._target["uri"] else {}
        except (OSError, ValueError, KeyError, TypeError):
            return {}

    def _run(self, network: str) -> str:
        if network in self._runs:
            return self._runs[network]
        known = self._known.get(network)
        if known is not None:
            self._client.update_run(known, status="RUNNING")
            self._runs[network] = known
            return known
        parent = {MLFLOW_PARENT_RUN_ID: self._run("")} if network else {}
        created = self._client.create_run(
            self._experiment, tags=parent, run_name=network or str(self._target["run_name"])
        )
        self._runs[network] = run = created.info.run_id
        if not network:
            parameters = dict(self._target["parameters"])  # type: ignore[call-overload]
            found = [Param(name, str(value)[:LONGEST_PARAMETER]) for name, value in parameters.items()]
            tags = [RunTag("aebnas_bo.study", str(self._runs_file.parent)), RunTag(MLFLOW_RUN_NOTE, DESCRIPTION)]
            self._client.log_batch(run, params=found, tags=tags)
        document = {"uri": self._target["uri"], "runs": {**self._known, **self._runs}}
        write_text(self._runs_file, json.dumps(document, indent=2) + "\n")
        return run

    def _last_step(self, run: str, line: Line, prefix: str) -> int:
        stream = line["stream"]
        if stream not in self._last:
            names = [f"{prefix}{name}" for name in line["values"]] if run in self._known.values() else []
            histories = [self._client.get_metric_history(run, name) for name in names]
            self._last[stream] = max((one.step for history in histories for one in history), default=-1)
        return self._last[stream]


def _place(stream: str) -> tuple[str, str]:
    """Return the network that a stream belongs to (empty for the study) and the prefix of its metrics."""
    kind, _, rest = stream.partition("/")
    if kind in NETWORK_STREAMS:
        name, _, part = rest.partition("/")
        return name if kind == "trained" else f"{kind}-{name}", f"{part}/" if part else ""
    return "", "" if kind == "search" else f"{stream}/"


def batches(lines: queue.Queue[str | None]) -> Iterator[list[str]]:
    """Yield all lines that are waiting, until `None`.

    Args:
        lines: Queue that another thread fills.
    """
    while True:
        found = [lines.get()]
        while not lines.empty():
            found.append(lines.get())
        is_over = found[-1] is None
        if texts := [line for line in found if line is not None]:
            yield texts
        if is_over:
            return


def main() -> int:
    """Write the records on stdin, and return the exit code."""
    lines: queue.Queue[str | None] = queue.Queue()

    def read() -> None:
        for line in sys.stdin:
            lines.put(line)
        lines.put(None)

    target = json.loads(sys.stdin.readline())
    threading.Thread(target=read, daemon=True).start()
    try:
        writer = MlflowWriter(target)
        for texts in batches(lines):
            writer.write(json.loads(text) for text in texts)
        writer.end()
    except Exception as error:
        sys.stdout.write(error_text(error))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
