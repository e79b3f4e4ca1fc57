"""Kill commands at random moments, repeat them, and compare what they leave with an undisturbed run.

    python -m tests.attack.kills --count 200 --seed 0

Every command runs in a process forked from this one, which has imported everything once. A case kills its command one
to three times (SIGKILL, SIGTERM or SIGINT, at a moment within its usual duration), repeats it until it ends by itself,
and then holds every file that it left against those of a run that nobody disturbed.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import io
import json
import os
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from safetensors import safe_open

from aebnas_bo.cli.app import app
from aebnas_bo.storage.run_folder import RunFolder
from aebnas_bo.training import training_loop
from tests.tiny_run import write_tiny_run

SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT)
STOPPED = {-signal.SIGKILL, -signal.SIGTERM, 128 + signal.SIGTERM, 128 + signal.SIGINT}  # -SIGTERM: before it listens
SMALL = (
    "--set=supernet.epochs=3", "--set=supernet.random_subnets=1", "--set=search.design_trials=5",
    "--set=search.mc_samples=16", "--set=search.pool_size=16", "--set=search.rounds=1",
    "--set=data.max_train_images=300",
)  # fmt: skip
SHORT = ("--set=final_training.epochs=3",)
# What these hold besides times is in the tables and in summary.json.
UNEQUAL = {"run.lock", "study.db", "report.html", "comparison.md"}
TIMES = ("_s", "seconds", "images_per_s", "peak_memory_mb")  # ends of the names of columns and keys
HASHES = ("sha256",)
SOURCES = ("supernet",)  # whether it was trained or found in the folder


@dataclass(frozen=True)
class Scenario:
    """A command that is killed.

    Args:
        name: Its name.
        arguments: Its arguments, given the folder of the case.
        prepare: Leaves in that folder what the command needs.
    """

    name: str
    arguments: Callable[[Path], Sequence[str]]
    prepare: Callable[[Path], None] = lambda folder: None


@dataclass
class Tally:
    """What happened in all cases."""

    kills: int = 0
    cases: int = 0
    tracebacks: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)

    @property
    def problems(self) -> list[str]:
        """What went wrong, by kind."""
        return [*self.tracebacks, *self.wrong, *self.lost]

    def line(self) -> str:
        """The summary line."""
        return (
            f"kills: {self.kills} in {self.cases} cases, {len(self.tracebacks)} tracebacks, "
            f"{len(self.wrong)} wrong results, {len(self.lost)} lost trials"
        )


def scenarios(ready: Path, trained: Path) -> list[Scenario]:
    """Return the commands to be killed.

    Args:
        ready: The folder of a finished search.
        trained: The same with a trained network.
    """

    def of(source: Path) -> Callable[[Path], None]:
        return lambda folder: shutil.copytree(source, folder / "run", dirs_exist_ok=True) and None

    def resumed(folder: Path) -> Sequence[str]:
        return ("--resume",) if (folder / "run" / "study.db").exists() else ()

    def fidelity(folder: Path) -> Sequence[str]:
        goes_on = ("--resume",) if (folder / "run").exists() else ()
        return ("fidelity", *SMALL, "--num-architectures", "4", *SHORT, "--out", "run", *goes_on)

    shortlist = ("--shortlist", "3", "--set=shortlist.rungs=[[3,1],[2,2]]")
    formats = ("--format", "torch", "--format", "onnx-segments", "--out", "exported")
    methods = ("--methods", "static,aebnas-bo", "--budget", "5", "--out", "run")
    return [
        Scenario("run", lambda folder: ("run", *SMALL, "--budget", "7", "--out", "run", *resumed(folder))),
        Scenario("train", lambda _: ("train", "run", "--no-plain", *SHORT), of(ready)),
        Scenario("train --shortlist", lambda _: ("train", "run", *shortlist, "--no-plain", *SHORT), of(ready)),
        Scenario("export", lambda _: ("export", "run", *formats), of(trained)),
        Scenario("report", lambda _: ("report", "run"), of(trained)),
        Scenario("fidelity", fidelity),
        Scenario("compare", lambda _: ("compare", "mine.yaml", *SMALL, *methods), _write_config),
    ]


def _write_config(folder: Path) -> None:
    (folder / "mine.yaml").write_text("name: mine\ndata: {dataset: digits}\n", encoding="utf-8")


def start(arguments: Sequence[str], folder: Path) -> int:
    """Run a command in a forked process; return its number.

    Args:
        arguments: Of `aebnas-bo`.
        folder: Where it works; its output is added to `folder.out` beside that folder.
    """
    process = os.fork()
    if process:
        return process
    status = 1
    try:
        os.setsid()
        os.chdir(folder)
        os.environ["AEBNAS_BO_CACHE"] = str(folder / "cache")
        output = os.open(folder.with_suffix(".out"), os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(output, 1)
        os.dup2(output, 2)
        app(list(arguments))
    except SystemExit as error:
        status = error.code if isinstance(error.code, int) else int(error.code is not None)
    except KeyboardInterrupt:  # before the command listens, as `aebnas_bo.cli.main` ends it
        status = 128 + signal.SIGINT
    except BaseException:  # what the command line lets through is what is looked for
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def wait(process: int) -> int:
    """Return the exit code of a process, negative for a signal."""
    return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])


def contents(folder: Path) -> dict[str, str]:
    """Return the files of a folder by path, without times and numbers of processes; those of `UNEQUAL` are empty."""
    found = {}
    for path in sorted(folder.rglob("*")):
        name = str(path.relative_to(folder))
        if path.is_file() and not name.startswith("cache"):
            found[name] = "" if path.name in UNEQUAL else _content(path)
    return found


def _content(path: Path) -> str:
    if path.suffix == ".csv":
        rows = list(csv.reader(io.StringIO(path.read_text(encoding="utf-8"))))
        kept = [number for number, name in enumerate(rows[0]) if not name.endswith(TIMES)]
        return repr([[row[number] for number in kept] for row in rows])
    if path.suffix == ".json":
        return repr(_without_times(json.loads(path.read_text(encoding="utf-8"))))
    if path.suffix == ".safetensors":  # texts in the header have no order
        with safe_open(path, framework="pt") as file:
            weights = hashlib.sha256(b"".join(file.get_tensor(name).numpy().tobytes() for name in sorted(file.keys())))
            return repr((weights.hexdigest(), _without_times(dict(sorted(file.metadata().items())))))
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _without_times(document: object) -> object:
    """Return a document without what ends in one of `TIMES` and without hashes, which depend on them."""
    if isinstance(document, list):
        return [_without_times(one) for one in document]
    if not isinstance(document, dict):
        return document
    kept = [name for name in document if not name.endswith((*TIMES, *HASHES)) and name not in SOURCES]
    return {name: _without_times(document[name]) for name in kept}


@dataclass(frozen=True)
class Reference:
    """What an undisturbed run takes and leaves."""

    seconds: float
    files: dict[str, str]


def undisturbed(scenario: Scenario, folder: Path) -> Reference:
    """Run a command without disturbing it.

    Raises:
        SystemExit: If it fails.
    """
    folder.mkdir()
    scenario.prepare(folder)
    started = time.monotonic()
    status = wait(start(scenario.arguments(folder), folder))
    if status:
        sys.exit(f"{scenario.name} failed undisturbed:\n{folder.with_suffix('.out').read_text()}")
    return Reference(time.monotonic() - started, contents(folder))


def attack(
    scenario: Scenario, reference: Reference, folder: Path, *, random: np.random.Generator, tally: Tally
) -> None:
    """Kill a command, repeat it to its end, and note what went wrong.

    Args:
        scenario: The command.
        reference: What it leaves undisturbed.
        folder: An empty folder.
        random: Decides on moments and signals.
        tally: Counts.
    """
    folder.mkdir()
    scenario.prepare(folder)
    for _ in range(int(random.integers(1, 4))):
        process = start(scenario.arguments(folder), folder)
        time.sleep(float(random.uniform(0.0, reference.seconds)))
        number = SIGNALS[random.integers(len(SIGNALS))]
        os.kill(process, number)
        status = wait(process)
        tally.kills += status != 0
        if status not in STOPPED | {0}:
            tally.wrong.append(f"{folder.name} {scenario.name}: exit code {status} after signal {number}")
        if status == 0:
            break
    status = wait(start(scenario.arguments(folder), folder))
    output = folder.with_suffix(".out").read_text(errors="replace")
    if "Traceback" in output:
        tally.tracebacks.append(f"{folder.name} {scenario.name}: {output[-3000:]}")
    if status:
        tally.lost.append(f"{folder.name} {scenario.name}: exit code {status}: {output[-300:]}")
        return
    found = contents(folder)
    for name in sorted(found.keys() | reference.files.keys()):
        if found.get(name) != reference.files.get(name):
            what = "is missing" if name not in found else "is left over"
            if name in found and name in reference.files:
                what = f"differs: {_difference(reference.files[name], found[name])}"
            tally.wrong.append(f"{folder.name} {scenario.name}: {name} {what}")


def _difference(one: str, other: str) -> str:
    places = (place for place, (old, new) in enumerate(zip(one, other, strict=False)) if old != new)
    start = max(next(places, min(len(one), len(other))) - 80, 0)
    return f"{one[start : start + 160]!r} became {other[start : start + 160]!r}"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the campaign; return 1 if anything went wrong."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=20, help="cases")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", help="name of one command")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    training_loop.CHECKPOINT_SECONDS = 0.0  # else these short trainings are never taken up
    random, tally = np.random.default_rng(options.seed), Tally()
    with tempfile.TemporaryDirectory() as path:
        base = Path(path)
        ready, trained = base / "ready" / "run", base / "trained" / "run"
        write_tiny_run(RunFolder(ready), ())
        shutil.copytree(ready, trained)
        if status := wait(start(("train", "run", "--no-plain", *SHORT), trained.parent)):
            sys.exit(f"train failed with exit code {status}")
        chosen = [one for one in scenarios(ready, trained) if options.only in (None, one.name)]
        references = [undisturbed(one, base / f"whole{place}") for place, one in enumerate(chosen)]
        for case in range(options.count):
            place = case % len(chosen)
            known = set(tally.problems)
            attack(chosen[place], references[place], base / f"case{case}", random=random, tally=tally)
            tally.cases += 1
            new = [problem for problem in tally.problems if problem not in known]
            print(*new, f"case {case} ended", sep="\n", file=sys.stderr, flush=True)
            shutil.rmtree(base / f"case{case}")
    print(tally.line())
    return int(bool(tally.problems))


if __name__ == "__main__":
    sys.exit(main())
