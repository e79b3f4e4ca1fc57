"""Change a finished run's database and files at random, and read it in every way.

    python -m tests.attack.databases --count 2000 --seed 0

Half of the cases change rows of the database, half damage a file of the run folder. Each must end in an error of the
package, or in the results of the undamaged run. A table of estimates that is not used any more is said in a warning;
its network is then shown without it.
"""

from __future__ import annotations

import argparse
import json
import logging
import shutil
import sqlite3
import sys
import tempfile
import traceback
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
from rich.console import Console

from aebnas_bo.analysis.pareto import pareto_front
from aebnas_bo.analysis.selection import Selection
from aebnas_bo.deploy.training_pipeline import choose_candidate, train_candidate
from aebnas_bo.early_exit.threshold_tuning import TuningGoal
from aebnas_bo.errors import AebnasError
from aebnas_bo.preparation.latency_preparation import prepare_latencies
from aebnas_bo.preparation.problem import Problem
from aebnas_bo.preparation.progress import RunProgress
from aebnas_bo.preparation.supernet_preparation import prepare_supernet
from aebnas_bo.report.contents import gather
from aebnas_bo.report.status import run_status
from aebnas_bo.report.stored_run import read_run
from aebnas_bo.search import study_rows
from aebnas_bo.search.trial_check import check_points
from aebnas_bo.search.trial_store import TrialStore
from aebnas_bo.shortlist.rungs import RungResult
from aebnas_bo.shortlist.shortlist_table import write_shortlist
from aebnas_bo.storage.run_folder import RunFolder
from aebnas_bo.study import running
from aebnas_bo.study.resuming import given_config, resumed_config
from tests.tiny_run import write_tiny_run

SETTINGS = (
    "search.objectives=[accuracy, average_macs, latency_ms]",
    "final_training.epochs=1",
    "data.max_train_images=300",
)
QUIET = RunProgress(Console(quiet=True), quiet=True)
COLUMNS = {
    "trials": (
        "number",
        "study_id",
        "key",
        "status",
        "reason",
        "parameters",
        "points",
        "generation_s",
        "evaluation_s",
        "worker",
        "attempt",
        "pending",
        "lease_until",
        "changed",
        "hash",
    ),
    "study": (
        "id",
        "format_version",
        "name",
        "seed",
        "fingerprint",
        "config",
        "objectives",
        "latencies",
        "created",
        "hash",
    ),
}
CELLS: tuple[object, ...] = (
    None, float("nan"), float("inf"), -1, -0.5, 0, 1, 1e300, 2**63 - 1, "", "x", "null", "NaN", "[]", "{}", "[[]]",
    "[null]", '{"a": NaN}', "[" * 50_000, '"' * 7, "9" * 6000, b"", b"\xff\x00", "\x00", "COMPLETED", "RUNNING",
)  # fmt: skip
LEAVES: tuple[object, ...] = (
    None, float("nan"), float("-inf"), -5.0, 1e6, 1e300, 10**400, "60", [], {}, True, [1.0], {"a": 1.0}
)  # fmt: skip
TEXT_FILES = (".json", ".yaml", ".csv")

Rows = sqlite3.Connection
Generator = np.random.Generator


@dataclass
class Tally:
    """How the cases ended."""

    cases: int = 0
    tracebacks: int = 0
    wrong: int = 0
    kinds: dict[str, int] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"databases: {self.cases} cases, {self.tracebacks} tracebacks, {self.wrong} wrong results"


@dataclass(frozen=True)
class Found:
    """What a reader found.

    Args:
        parts: Results by name; `None` where a file is not there.
        warnings: Whether something was said to be of no use.
    """

    parts: dict[str, object]
    warnings: bool = False


class _Warnings(logging.Handler):
    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.count = 0

    def emit(self, record: logging.LogRecord) -> None:
        self.count += 1


@contextmanager
def counted_warnings() -> Iterator[_Warnings]:
    """Take what the package warns of."""
    handler, logger = _Warnings(), logging.getLogger("aebnas_bo")
    was = logger.propagate
    logger.addHandler(handler)
    logger.propagate = False
    try:
        yield handler
    finally:
        logger.removeHandler(handler)
        logger.propagate = was


class Readers:
    """Everything that reads a run folder, in this process.

    Args:
        problem: The images of the run, loaded once.
    """

    def __init__(self, problem: Problem) -> None:
        self._problem = problem

    def __call__(self) -> dict[str, Callable[[RunFolder], dict[str, object]]]:
        """Return the readers by name."""
        return {
            "status": self.status, "front": self.front, "report": self.report, "resume": self.resume,
            "train": self.train,
        }  # fmt: skip

    def status(self, folder: RunFolder) -> dict[str, object]:
        """As `aebnas-bo status`."""
        return {"status": replace(run_status(read_run(folder)), last_change_s=0.0, folder="")}

    def front(self, folder: RunFolder) -> dict[str, object]:
        """As `Study.front`."""
        with TrialStore.open_read_only(folder.study) as store:
            return {"front": pareto_front(store.trials(), store.study.objectives)}

    def report(self, folder: RunFolder) -> dict[str, object]:
        """As `aebnas-bo report`, without what follows from the trials alone and takes seconds."""
        with patch("aebnas_bo.report.contents.surrogate_reports", lambda *_, **__: ()):
            contents = gather(read_run(folder))
        networks = contents.networks
        assert networks is not None
        return {
            "study": replace(contents.run.study, config=""),
            "trials": contents.run.trials,
            "config": contents.run.config,
            "front": networks.front,
            "chosen": [(one.title, one.observed) for one in networks.chosen],
            "tables": [(one.outputs, one.sweeps) if one.has_table else None for one in networks.chosen],
            "summary": contents.summary,
            "data": contents.data,
            "trained": contents.trained,
            "points": contents.points,
            "looks": contents.test_looks,
        }

    def resume(self, folder: RunFolder) -> dict[str, object]:
        """As `aebnas-bo run --resume` up to the first new trial."""
        config = resumed_config(folder.study, given_config(folder, None, ()), has_file=False, options=())
        problem = self._problem.with_config(config)
        latencies = prepare_latencies(problem, folder, QUIET)
        with running._open_store(problem, folder, latencies) as store:
            supernet, source = prepare_supernet(problem, folder, QUIET)
            trials = store.trials()
        check_points(trials, problem.space.search_space, folder.study)
        weights = sum(float(one.double().sum()) for one in supernet.state_dict().values())
        return {"config": config, "trials": trials, "weights": weights, "source": source}

    def train(self, folder: RunFolder) -> dict[str, object]:
        """As `aebnas-bo train` up to the training."""
        candidate = choose_candidate(folder, Selection("knee"), splits=self._problem.splits)
        return {"chosen": candidate.observed, "config": candidate.problem.config}


def make_run(folder: RunFolder) -> Problem:
    """Leave a finished run with a trained network and a short list, and return its problem."""
    write_tiny_run(folder, SETTINGS)
    candidate = choose_candidate(folder, Selection("knee"))
    train_candidate(candidate, 0, is_again=False, progress=QUIET)
    goal = TuningGoal("max_macs", 100_000.0)
    figures = {
        "estimate": 50.0,
        "average_macs": 0.09,
        "behind": 0.0,
        "behind_sem": 0.1,
        "is_met": True,
        "is_kept": True,
    }
    rung_results = [
        RungResult(rung=rung, epochs=2 + rung, key=candidate.observed.key, goal=goal, accuracy=60.0 + rung, **figures)  # type: ignore[arg-type]
        for rung in range(2)
    ]
    folder.shortlist.mkdir()
    write_shortlist(folder.shortlist, rung_results)
    return candidate.problem


# Changes of rows.


def _any_row(rows: Rows, generator: Generator) -> tuple[str, str, int]:
    """Return a table, the condition of one of its rows, and the row's number."""
    if generator.random() < 0.25:
        return "study", "rowid = 1", 1
    number = int(generator.integers(14))
    return "trials", f"number = {number}", number


def set_cell(rows: Rows, generator: Generator) -> None:
    """Put something else into a cell."""
    table, where, _ = _any_row(rows, generator)
    value = CELLS[generator.integers(len(CELLS))]
    rows.execute(f"UPDATE {table} SET {_pick(COLUMNS[table], generator)} = ? WHERE {where}", (value,))


def change_letter(rows: Rows, generator: Generator) -> None:
    """Change one letter or digit of a text."""
    table, where, _ = _any_row(rows, generator)
    column = _pick(COLUMNS[table], generator)
    [text] = rows.execute(f"SELECT {column} FROM {table} WHERE {where}").fetchone()
    changed = changed_text(str(text), generator)
    rows.execute(f"UPDATE {table} SET {column} = ? WHERE {where}", (changed,))


def changed_text(text: str, generator: Generator) -> str:
    """Change one character, a digit into another digit where one is hit."""
    if not text:
        return "x"
    place = int(generator.integers(len(text)))
    old = text[place]
    new = (
        str((int(old) + int(generator.integers(1, 10))) % 10)
        if old.isdecimal()
        else chr(int(generator.integers(32, 127)))
    )
    return text[:place] + new + text[place + 1 :]


def copy_cell(rows: Rows, generator: Generator) -> None:
    """Copy a cell over that of another trial."""
    column = _pick(COLUMNS["trials"][1:], generator)
    one, other = generator.choice(14, 2, replace=False).tolist()
    rows.execute(
        f"UPDATE trials SET {column} = (SELECT {column} FROM trials WHERE number = {one}) WHERE number = {other}"
    )


def swap_columns(rows: Rows, generator: Generator) -> None:
    """Let two columns of a row change places."""
    table, where, _ = _any_row(rows, generator)
    one, other = generator.choice(len(COLUMNS[table]), 2, replace=False).tolist()
    first, second = COLUMNS[table][one], COLUMNS[table][other]
    rows.execute(f"UPDATE {table} SET {first} = {second}, {second} = {first} WHERE {where}")


def swap_rows(rows: Rows, generator: Generator) -> None:
    """Let two trials change places."""
    one, other = generator.choice(14, 2, replace=False).tolist()
    for old, new in ((one, 99), (other, one), (99, other)):
        rows.execute(f"UPDATE trials SET number = {new} WHERE number = {old}")


def move_row(rows: Rows, generator: Generator) -> None:
    """Remove a trial, but not the last (a study that was stopped before it looks the same), or give it a new number."""
    number, new = int(generator.integers(13)), int(_pick((-3, 14, 99, 2**40), generator))
    statement = f"UPDATE trials SET number = {new}" if generator.random() < 0.5 else "DELETE FROM trials"
    rows.execute(f"{statement} WHERE number = {number}")


def swap_objectives(rows: Rows, generator: Generator) -> None:
    """Change order, names or figures of objectives, or swap metrics of trials."""
    [text] = rows.execute("SELECT objectives FROM study").fetchone()
    objectives = json.loads(text)
    kind = int(generator.integers(4))
    if kind == 0:
        objectives = objectives[::-1]
    elif kind == 1:
        objectives[0]["name"], objectives[1]["name"] = objectives[1]["name"], objectives[0]["name"]
    elif kind == 2:
        change_leaf(objectives, generator)
    else:
        rows.execute("""UPDATE trials SET points = replace(replace(replace(points, '"accuracy"', '"x"'),
            '"average_macs"', '"accuracy"'), '"x"', '"average_macs"')""")
    rows.execute("UPDATE study SET objectives = ?", (json.dumps(objectives),))


def change_json(rows: Rows, generator: Generator) -> None:
    """Put something else into a leaf of what a trial observed or was proposed at; its hash stays."""
    _change_document(rows, generator)


def change_sealed_json(rows: Rows, generator: Generator) -> None:
    """Do the same and write the hash that belongs to it."""
    number = _change_document(rows, generator)
    names = [name for name in COLUMNS["trials"] if name not in study_rows.NOT_HASHED]
    values = rows.execute(f"SELECT {', '.join(names)} FROM trials WHERE number = {number}").fetchone()
    [fingerprint] = rows.execute("SELECT fingerprint FROM study").fetchone()
    columns = {**dict(zip(names, values, strict=True)), "study": fingerprint}
    rows.execute("UPDATE trials SET hash = ? WHERE number = ?", (study_rows._hash(columns), number))


def _change_document(rows: Rows, generator: Generator) -> int:
    number, column = int(generator.integers(14)), _pick(("points", "points", "parameters"), generator)
    [text] = rows.execute(f"SELECT {column} FROM trials WHERE number = {number}").fetchone()
    document = json.loads(text)
    change_leaf(document, generator)
    rows.execute(f"UPDATE trials SET {column} = ? WHERE number = ?", (json.dumps(document), number))
    return number


def change_leaf(document: Any, generator: Generator) -> None:
    """Walk to a random place of a document and remove, rename or replace what is there."""
    while document:
        key = _pick(list(document) if isinstance(document, dict) else list(range(len(document))), generator)
        if isinstance(document[key], dict | list) and document[key] and generator.random() < 0.9:
            document = document[key]
            continue
        kind = generator.random()
        if kind < 0.15:
            del document[key]
        elif kind < 0.3 and isinstance(document, dict):
            document[changed_text(str(key), generator)] = document.pop(key)
        else:
            document[key] = LEAVES[generator.integers(len(LEAVES))]
        return


def change_schema(rows: Rows, generator: Generator) -> None:
    """Drop, rename or add tables and columns."""
    table = _pick(("study", "trials"), generator)
    column = _pick(COLUMNS[table][1:], generator)
    statement = _pick(
        (
            f"DROP TABLE {table}", f"DELETE FROM {table}", f"ALTER TABLE {table} RENAME TO other",
            f"ALTER TABLE {table} RENAME COLUMN {column} TO other", f"ALTER TABLE {table} DROP COLUMN {column}",
            f"ALTER TABLE {table} ADD COLUMN other TEXT",
        ),
        generator,
    )  # fmt: skip
    if statement != "DELETE FROM trials":  # a study that has just begun
        rows.execute(statement)


ROW_CHANGES = (
    set_cell, set_cell, change_letter, change_letter, copy_cell, swap_columns, swap_rows, move_row, swap_objectives,
    change_json, change_json, change_sealed_json, change_sealed_json, change_schema,
)  # fmt: skip


def change_rows(folder: RunFolder, generator: Generator) -> str:
    """Change the database by one of the ways above; constraints do not hold it up. Returns the way."""
    change = ROW_CHANGES[generator.integers(len(ROW_CHANGES))]
    with closing(sqlite3.connect(folder.study)) as rows:
        rows.executescript(
            "PRAGMA journal_mode = DELETE; PRAGMA writable_schema = 1;"
            "UPDATE sqlite_master SET sql = replace(sql, 'NOT NULL', '') WHERE type = 'table'"
        )
    with closing(sqlite3.connect(folder.study)) as rows:
        try:
            change(rows, generator)
        except sqlite3.Error:
            return "refused by SQLite"
        rows.commit()
    return change.__name__


# Damage to files.


def damage_file(folder: RunFolder, generator: Generator) -> str:
    """Damage a file of the run folder, every second time the database. Returns the way and the file."""
    files = sorted(path for path in folder.path.rglob("*") if path.is_file() and path.suffix != ".lock")
    path = folder.study if generator.random() < 0.5 else _pick(files, generator)
    data = bytearray(path.read_bytes())
    ways = ["flip", "flip", "truncate", "zero", "append", "empty", "folder", "copy"]
    if path.suffix in TEXT_FILES:
        ways += ["letter", "letter", "letter"]
    way = _pick(ways, generator)
    if way == "flip":
        for place in generator.integers(len(data), size=int(generator.integers(1, 5))).tolist():
            data[place] ^= 1 << int(generator.integers(8))
    elif way == "truncate":
        del data[int(generator.integers(len(data))) :]
    elif way == "zero":
        start = int(generator.integers(len(data)))
        data[start : start + 64] = bytes(len(data[start : start + 64]))
    elif way == "append":
        data += generator.bytes(200)
    elif way == "empty":
        data.clear()
    elif way == "letter":
        data = bytearray(changed_text(data.decode(), generator).encode())
    elif way == "copy":
        same = [one for one in files if one.suffix == path.suffix and one != path]
        data = bytearray(_pick(same or files, generator).read_bytes())
    if way == "folder":
        path.unlink()
        path.mkdir()
    else:
        path.write_bytes(data)
    return f"{way} {path.relative_to(folder.path)}"


def _pick(values: Any, generator: Generator) -> Any:
    return values[int(generator.integers(len(values)))]


# The campaign.


def is_sound(found: Found, sound: Found, *, is_sealed: bool) -> bool:
    """Say whether results are those of the undamaged run, or lack a table of estimates that a warning was about.

    Args:
        found: The results.
        sound: Those of the undamaged run.
        is_sealed: Whether a row with a right hash was changed: then what was found may differ, but must be possible.
    """
    if is_sealed:
        return all(trial_is_possible(trial) for trial in found.parts.get("trials", ()))  # type: ignore[attr-defined]
    for name, part in found.parts.items():
        if part == sound.parts[name]:
            continue
        if not (name == "tables" and found.warnings and has_less(part, sound.parts[name])):
            return False
    return True


def has_less(some: Any, whole: Any) -> bool:
    """Return whether a list holds the items of another, or `None` for some of them."""
    return all(one is None or one == other for one, other in zip(some, whole, strict=True))


def trial_is_possible(trial: Any) -> bool:
    """Say whether the metrics of a trial are such as the tiny space has."""
    return all(
        0.0 <= point.metrics["accuracy"] <= 100.0
        and 0.0 < point.metrics["average_macs"] < 0.5
        and min(point.sems.values()) >= 0
        for point in trial.points
    )


def campaign(count: int, seed: int, *, show: Callable[[str], object] = lambda _: None) -> Tally:
    """Run all cases.

    Args:
        count: Number of cases.
        seed: Seed of all that is drawn.
        show: Called with what went wrong.
    """
    tally = Tally()
    with tempfile.TemporaryDirectory() as place:
        whole = RunFolder(Path(place) / "whole")
        readers = Readers(make_run(whole))()
        sound = {}
        for name, reader in readers.items():
            copy = RunFolder(Path(shutil.copytree(whole.path, Path(place) / "copy")))
            sound[name] = Found(reader(copy))
            shutil.rmtree(copy.path)
        for number in range(count):
            generator = np.random.default_rng([seed, number])
            copy = RunFolder(Path(shutil.copytree(whole.path, Path(place) / "copy")))
            way = (change_rows if number % 2 == 0 else damage_file)(copy, generator)
            for name, reader in readers.items():
                ended = one_case(copy, reader, sound[name], is_sealed=way == "change_sealed_json")
                tally.kinds[ended] = tally.kinds.get(ended, 0) + 1
                if ended not in {"error", "equal"}:
                    show(f"case {number} ({way}), {name}: {ended}")
                tally.tracebacks += ended.startswith("Traceback")
                tally.wrong += ended == "wrong"
            tally.cases += 1
            shutil.rmtree(copy.path)
    return tally


def one_case(
    folder: RunFolder, reader: Callable[[RunFolder], dict[str, object]], sound: Found, *, is_sealed: bool
) -> str:
    """Read a damaged folder and say how that ended: error, equal, wrong, or a traceback."""
    with counted_warnings() as warnings:
        try:
            parts = reader(folder)
        except (AebnasError, OSError):  # the command line reports what the system refuses, such as to write a folder
            return "error"
        except Exception:
            return traceback.format_exc()
    return "equal" if is_sound(Found(parts, warnings.count > 0), sound, is_sealed=is_sealed) else "wrong"


def main() -> int:
    """Run the campaign and print one line; the exit code is 1 if anything went wrong."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    tally = campaign(arguments.count, arguments.seed, show=lambda text: sys.stderr.write(f"{text}\n"))
    sys.stdout.write(f"{tally}\n")
    return int(tally.tracebacks + tally.wrong > 0)


if __name__ == "__main__":
    sys.exit(main())
