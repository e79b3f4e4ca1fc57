"""Our part of `benchmarks.worth`: the command as users call it, its time and its trained networks."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from resource import RUSAGE_CHILDREN, getrusage

from aebnas_bo.config.schema import Config
from aebnas_bo.deploy.operating_points import OPERATING_POINTS_FILE
from aebnas_bo.errors import UsageError
from aebnas_bo.storage.run_folder import RunFolder
from benchmarks.records import appending_rows, read_rows
from benchmarks.worth_jobs import Job, Point, Result, settings_key

COMMAND = (sys.executable, "-m", "aebnas_bo.run")
TAKEN = ("wall_seconds", "processor_seconds")


def run_command(job: Job, config: Config) -> Result:
    """Search within the time budget; resume an interrupted study, and count the time of all attempts.

    Args:
        job: Seed, time and folder.
        config: Configuration that the command reads.

    Raises:
        UsageError: If the command fails or trains no network.
    """
    studies = job.folder / "studies"
    studies.mkdir(parents=True, exist_ok=True)
    study, log, attempts = (studies / f"seed{job.seed}{suffix}" for suffix in ("", ".log", ".attempts.csv"))
    arguments = ["--config", str(job.config), "--time-budget", f"{job.minutes:g}m", "--seed", str(job.seed)]
    arguments += ["--device", "cpu", "--quiet", "--out", str(study)]
    arguments += ["--max-average-macs", f"{job.max_macs:g}"] if job.max_macs is not None else []
    arguments += ["--resume"] if RunFolder(study).holds_study else []
    exit_code = _timed(arguments, studies / f"seed{job.seed}.cache", log, attempts=attempts)
    if exit_code != 0:
        raise UsageError(f"{job.name}: the command ended with exit code {exit_code}; {log} says why")
    points = [
        Point(
            network=path.parent.name,
            epochs=None,
            validation_macs=float(row["validation_average_macs"]),
            validation_accuracy=float(row["validation_accuracy"]),
            test_macs=float(row["test_average_macs"]),
            test_accuracy=float(row["test_accuracy"]),
        )
        for path in sorted(RunFolder(study).trained.glob(f"*/{OPERATING_POINTS_FILE}"))
        for row in read_rows(path)
    ]
    if not points:
        raise UsageError(f"{job.name}: the command left no trained network in {study}; remove it and raise --minutes")
    wall, processor = (sum(float(row[name]) for row in read_rows(attempts)) for name in TAKEN)
    return Result(
        dataset=config.name,
        minutes=job.minutes,
        part=job.part,
        seed=job.seed,
        settings=settings_key(config, job.part, job.num_networks),
        wall_seconds=wall,
        processor_seconds=processor,
        points=tuple(points),
    )


def _timed(arguments: Sequence[str], cache: Path, log: Path, *, attempts: Path) -> int:
    """Run the command, store its time and return its exit code.

    It has a separate cache, because cached supernets of earlier runs would save time that must count.
    """
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "AEBNAS_BO_CACHE": str(cache)}
    wall, processor = time.monotonic(), _children_seconds()
    with log.open("a", encoding="utf-8") as output, appending_rows(attempts, TAKEN) as append:
        process = subprocess.Popen([*COMMAND, *arguments], stdout=output, stderr=output, env=environment)
        try:
            return process.wait()
        except KeyboardInterrupt:
            process.wait()  # the terminal interrupts it too, and it ends cleanly
            raise
        finally:
            append([time.monotonic() - wall, _children_seconds() - processor])


def _children_seconds() -> float:
    usage = getrusage(RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime
