"""Searches on disks that are too small, then large enough: `python -m tests.attack.full_disk --count 20 --seed 0`.

Each point is a run on a file system in memory with too few bytes or inodes. It has to end in order, and to give the
results of an undisturbed run once there is space. Needs Linux and the right to mount.
"""

import argparse
import csv
import os
import random
import shutil
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

DONE, STORAGE_FAILED = 0, 8
BUDGET = 6
RUN = [
    "run", "--quiet", f"--budget={BUDGET}", "--device=cpu", "--set=search.design_trials=4", "--set=supernet.epochs=1",
    "--set=data.max_train_images=300", "--set=search.strategy=random",
]  # fmt: skip
PAGE = 4096


@dataclass
class Tally:
    """What was found so far."""

    points: int = 0
    tracebacks: int = 0
    wrong: int = 0
    lost: int = 0

    def __str__(self) -> str:
        return (
            f"full disk: {self.points} points, {self.tracebacks} tracebacks, {self.wrong} wrong results, "
            f"{self.lost} lost trials"
        )


@dataclass(frozen=True)
class Whole:
    """An undisturbed run.

    Args:
        tables: Its tables without times, by file name.
        files: The names of its files.
        pages: Pages of memory that it takes.
    """

    tables: dict[str, list[dict[str, str]]]
    files: set[str]
    pages: int


@contextmanager
def small_disk(place: Path, options: str) -> Iterator[None]:
    """Mount a file system in memory.

    Args:
        place: An empty folder.
        options: Its limits, as `mount -o` takes them.
    """
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "none", place], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", place], check=True)


def enlarge(place: Path, options: str) -> None:
    """Give a mounted file system other limits."""
    subprocess.run(["mount", "-o", f"remount,{options}", place], check=True, capture_output=True)


def call(arguments: list[str], cache: Path) -> tuple[int, str]:
    """Run a command in a copy of this process, which has imported everything; return its exit code and output."""
    with tempfile.TemporaryFile("w+", encoding="utf-8") as log:
        child = os.fork()
        if child == 0:
            os.dup2(log.fileno(), 1)
            os.dup2(log.fileno(), 2)
            sys.stdout, sys.stderr = open(1, "w", closefd=False), open(2, "w", closefd=False)  # noqa: SIM115
            os.environ["AEBNAS_BO_CACHE"] = str(cache)
            os._exit(_command(arguments))
        _, status = os.waitpid(child, 0)
        log.seek(0)
        return os.waitstatus_to_exitcode(status), log.read()


def _command(arguments: list[str]) -> int:
    from aebnas_bo.cli.app import app

    code = 1
    try:
        app(arguments)
    except SystemExit as end:
        code = int(end.code or 0)
    except BaseException:
        traceback.print_exc()
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    return code


def tables_of(run: Path) -> dict[str, list[dict[str, str]]]:
    """Return the tables of a run without their columns of seconds."""
    tables = {}
    for path in sorted(run.glob("*.csv")):
        with path.open(newline="", encoding="utf-8") as file:
            rows = [
                {name: text for name, text in row.items() if not name.endswith("_s")} for row in csv.DictReader(file)
            ]
        tables[path.name] = rows
    return tables


def files_of(run: Path) -> set[str]:
    """Return the names of a run's files, without those that only an open database has."""
    names = {str(path.relative_to(run)) for path in run.rglob("*") if path.is_file()}
    return {name for name in names if not name.startswith("study.db-")}


def undisturbed(folder: Path) -> Whole:
    """Run without limits."""
    code, text = call([*RUN, f"--out={folder}/run"], folder / "cache")
    if code != DONE:
        raise RuntimeError(text)
    sizes = [path.stat().st_size for path in folder.rglob("*") if path.is_file()]
    return Whole(tables_of(folder / "run"), files_of(folder / "run"), sum(-(-size // PAGE) for size in sizes))


def limits(draw: random.Random, whole: Whole) -> str:
    """Draw too few pages or inodes for a run."""
    if draw.random() < 0.3:
        return f"size=64m,nr_inodes={draw.randint(2, len(whole.files) + 8)}"
    return f"size={PAGE * draw.randint(4, whole.pages)}"


def attack(place: Path, draw: random.Random, *, whole: Whole, caches: Path, tally: Tally) -> None:
    """Run on a disk that is too small, on one that is a little larger, and on a large one."""
    first = limits(draw, whole)
    cache = place / "cache" if draw.random() < 0.5 else caches
    calls = []
    with small_disk(place, first):
        for options in (None, limits(draw, whole), "size=1g,nr_inodes=100000"):
            if options is not None:
                try:
                    enlarge(place, options)
                except subprocess.CalledProcessError:
                    continue  # less than what is there
            study = place / "run/study.db"
            command = [*RUN, f"--out={place}/run", *(["--resume"] if study.exists() else [])]
            calls.append(call(command, cache))
        found, files = tables_of(place / "run"), files_of(place / "run")
    rows = found.get("trials.csv", [])
    lost = BUDGET - sum(row["status"] == "COMPLETED" for row in rows)
    is_orderly = all(code in {DONE, STORAGE_FAILED} for code, _ in calls) and calls[-1][0] == DONE
    has_traceback = any("Traceback" in text for _, text in calls)
    is_wrong = found != whole.tables or files != whole.files or not is_orderly
    tally.points += 1
    tally.tracebacks += has_traceback
    tally.wrong += is_wrong
    tally.lost += max(lost, 0)
    if has_traceback or is_wrong or lost:
        sys.stderr.write(f"{first}: {sorted(files ^ whole.files)} {calls}\n")


def main(arguments: Sequence[str] | None = None) -> int:
    """Attack; return 1 if anything was found."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=20, help="disks that are too small")
    parser.add_argument("--seed", type=int, default=0, help="seed of the limits that are drawn")
    options = parser.parse_args(arguments)
    if os.geteuid() and (unshare := shutil.which("unshare")):  # a user may mount in a name space of his own
        own = [sys.executable, "-m", "tests.attack.full_disk", f"--count={options.count}", f"--seed={options.seed}"]
        os.execv(unshare, [unshare, "--user", "--map-root-user", "--mount", *own])

    import aebnas_bo.deploy.front_with_trained
    import aebnas_bo.study.timed_run  # noqa: F401  before the first fork, so that no point pays for it

    draw, tally = random.Random(options.seed), Tally()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        try:
            place = folder / "disk"
            place.mkdir()
            with small_disk(place, "size=1m"):
                pass
        except (OSError, subprocess.CalledProcessError) as error:
            sys.exit(f"full disk: needs the right to mount ({error})")
        whole = undisturbed(folder / "whole")
        for _ in range(options.count):
            attack(place, draw, whole=whole, caches=folder / "whole/cache", tally=tally)
    sys.stdout.write(f"{tally}\n")
    return int(tally.tracebacks + tally.wrong + tally.lost > 0)


if __name__ == "__main__":
    sys.exit(main())
