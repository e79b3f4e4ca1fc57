"""JSON Lines file of one benchmark run: a header, then one line per evaluation."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from aebnas_bo.estimation.estimate import OperatingPoint
from aebnas_bo.search.objectives import Objective
from aebnas_bo.search.trial import Trial


@dataclass(frozen=True)
class Header:
    """Identity of a run; a file with another header is not continued.

    Args:
        problem: Name of the problem.
        method: Name of the method.
        seed: Seed of the method.
        objectives: The problem's objectives with their reference.
        best_hypervolume: The best hypervolume known of the problem, if it is known without the runs.
    """

    problem: str
    method: str
    seed: int
    objectives: tuple[Objective, ...]
    best_hypervolume: float | None = field(default=None, compare=False)


def run_path(folder: Path, problem: str, method: str, seed: int) -> Path:
    """Return the file of a run."""
    return folder / problem.replace("/", "-") / method / f"seed-{seed}.jsonl"


def read_run(path: Path) -> tuple[Header, list[Trial]]:
    """Read a run; an incomplete last line, left by a killed process, is dropped.

    Raises:
        ValueError: If the file is damaged elsewhere.
    """
    lines = path.read_text(encoding="utf-8").split("\n")
    documents = [json.loads(line) for line in lines[:-1]]  # text after the last newline is incomplete
    header = documents[0]
    objectives = tuple(Objective(**objective) for objective in header.pop("objectives"))
    return Header(**header, objectives=objectives), [_trial(row) for row in documents[1:]]


def _trial(row: dict[str, Any]) -> Trial:
    metrics, sems, further = (row.pop(name) for name in ("metrics", "sems", "further"))
    points = (OperatingPoint(metrics, sems), *(OperatingPoint(**point) for point in further))
    return Trial(**row, points=points if row["status"] == "COMPLETED" else ())


class RunFile:
    """Appends evaluations to a run's file.

    Args:
        path: File to create with its folders, or to continue.
        header: Identity of the run.

    Raises:
        ValueError: If the file belongs to another run.
    """

    def __init__(self, path: Path, header: Header) -> None:
        self.trials: list[Trial] = []
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.exists() and "\n" in path.read_text(encoding="utf-8"):
            found, self.trials = read_run(path)
            if found != header:
                raise ValueError(f"{path} holds {found}, not {header}; move it away")
        documents = [asdict(header), *map(_row, self.trials)]
        path.write_text("".join(json.dumps(document) + "\n" for document in documents), encoding="utf-8")
        self._path = path

    def append(self, trials: Sequence[Trial]) -> None:
        """Add evaluations."""
        with self._path.open("a", encoding="utf-8") as file:
            file.writelines(json.dumps(_row(trial)) + "\n" for trial in trials)
        self.trials += trials


def _row(trial: Trial) -> dict[str, object]:
    """Return a trial in the form of the files: without exit rates, further operating points in a separate list."""
    row = asdict(replace(trial, points=()))
    for name in ("points", "worker", "attempt", "pending"):  # benchmarks evaluate one trial at a time, without workers
        del row[name]
    seconds = {name: row.pop(name) for name in ("generation_s", "evaluation_s")}
    further = [{"thresholds": one.thresholds, "metrics": one.metrics, "sems": one.sems} for one in trial.points[1:]]
    return {**row, "metrics": trial.metrics, "sems": trial.sems, **seconds, "further": further}


def read_rows(path: Path) -> list[dict[str, str]]:
    """Return the rows of a CSV file, or none if it does not exist."""
    if not path.exists():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


@contextmanager
def appending_rows(path: Path, header: Sequence[str]) -> Iterator[Callable[[Sequence[object]], None]]:
    """Yield a function that appends a row to a CSV file and flushes it; write the header of a new or empty file."""
    with path.open("a", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")

        def append(row: Sequence[object]) -> None:
            writer.writerow(row)
            file.flush()

        if file.tell() == 0:
            append(header)
        yield append


def output_file(text: str) -> Path:
    """Return the path of an output file and create its folder, before long work starts."""
    path = Path(text)
    path.parent.mkdir(parents=True, exist_ok=True)
    return path
