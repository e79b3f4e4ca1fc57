"""Time that the store takes per trial: SQLite in a folder beside PostgreSQL, in one run.

    python -m benchmarks.storage_speed --trials 300 --out FILE
    python -m benchmarks.storage_speed --url postgresql+psycopg://USER@HOST/DATABASE --out FILE

Without a URL, a throwaway PostgreSQL server is started on this machine. Both databases wait for the disk at every
commit. A trial is added, claimed, renewed once and finished, with four further operating points. One thread, no other
clients. `CPU` is the processor time of this process, which other processes on a busy machine change less.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

from aebnas_bo.estimation.estimate import OperatingPoint
from aebnas_bo.search.objectives import Objective
from aebnas_bo.search.study_record import StudyRecord
from aebnas_bo.search.trial import Trial
from aebnas_bo.search.trial_store import TrialStore
from benchmarks.records import output_file
from tests.postgresql_server import postgresql_server

OBJECTIVES = (Objective("accuracy", True, 10.0), Objective("average_macs", False, 100.0))
GENES = {f"stage{stage}_{name}": 24 for stage in range(1, 6) for name in ("width", "depth", "kernel", "expansion")}
METRICS, SEMS = {"accuracy": 90.0, "average_macs": 1.5}, {"accuracy": 0.4, "average_macs": 0.0}
RATES = {"exit1": 0.5, "exit2": 0.25, "final": 0.25}
WARM = 10  # trials that are not counted


def main() -> None:
    """Measure and write a text file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=300)
    parser.add_argument("--url")
    parser.add_argument("--out", type=output_file, required=True)
    arguments = parser.parse_args()
    with ExitStack() as stack:
        url = arguments.url or stack.enter_context(postgresql_server(durable=True)).new_database()
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        places: dict[str, Path | str] = {"sqlite": folder / "study.db", "postgresql": url}
        lines = [line for name, place in places.items() for line in measure(name, place, arguments.trials)]
    arguments.out.write_text("\n".join(lines) + "\n", encoding="utf-8")


def measure(name: str, place: Path | str, count: int) -> list[str]:
    """Return a line per operation and one per trial, in milliseconds."""
    seconds: dict[str, list[float]] = {}
    processor: list[float] = []

    def timed(operation: str, call: Callable[[], object]) -> None:
        started, used = time.perf_counter(), time.process_time()
        call()
        seconds.setdefault(operation, []).append(time.perf_counter() - started)
        processor.append(time.process_time() - used)

    with TrialStore.create(place, StudyRecord("speed", 0, "f", "", OBJECTIVES)) as store, store.proposer_lock():
        for number in range(WARM + count):
            running = Trial(number, "", "RUNNING", GENES, generation_s=0.1)
            point = OperatingPoint(METRICS, SEMS, RATES, {"exit1": 0.5})
            claimed = replace(running, worker="w", attempt=1)
            done = replace(claimed, key="a" * 16, status="COMPLETED", points=(point,) * 5)
            timed("add", lambda trial=running: store.add_running(trial))
            timed("claim", lambda: store.claim("w", 60.0))
            timed("renew", lambda trial=claimed: store.renew(trial.number, 1, 60.0))
            timed("finish", lambda trial=done: store.finish(trial))
        started = time.perf_counter()
        store.trials()
        reading = time.perf_counter() - started
    kept = {operation: values[WARM:] for operation, values in seconds.items()}
    totals = [sum(values) for values in zip(*kept.values(), strict=True)]
    rows = {**kept, "trial in all": totals}
    lines = [
        f"{name:10}  {operation:12}  median {1000 * statistics.median(values):6.2f} ms  "
        f"nine tenths below {1000 * statistics.quantiles(values, n=10)[-1]:6.2f} ms"
        for operation, values in rows.items()
    ]
    own = sum(processor[WARM * len(kept) :]) / count
    lines.append(f"{name:10}  {'trial in all':12}  mean   {1000 * own:6.2f} ms CPU")
    return [*lines, f"{name:10}  reading all {WARM + count} trials  {1000 * reading:.0f} ms"]


if __name__ == "__main__":
    main()
