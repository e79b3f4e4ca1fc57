"""Time that Ray adds to a job: empty jobs on a cluster of this machine.

python -m benchmarks.ray_overhead --workers 2 --jobs 300
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable

from aebnas_bo.execution.executor import Ticket
from aebnas_bo.execution.ray_cluster import ray_cluster
from aebnas_bo.execution.ray_executor import RayExecutor
from aebnas_bo.execution.settings import ExecutionConfig


def make_work() -> Callable[[int], int]:
    """Return the function that runs a job: none of it takes time."""
    return _same


def _same(job: int) -> int:
    return job


def measure(num_workers: int, num_jobs: int) -> tuple[float, float, float]:
    """Return seconds to start the cluster, seconds until a worker is ready, and the median seconds of a job.

    Args:
        num_workers: Number of workers, which share two CPUs.
        num_jobs: Number of jobs, one after the other.
    """
    settings = ExecutionConfig(engine="ray", workers=num_workers, cpus_per_worker=1.0 / num_workers)
    started = time.perf_counter()
    with ray_cluster(settings) as ray:
        connected = time.perf_counter()
        executor = RayExecutor[int, int](ray, make_work, settings)
        while executor.free_worker is None:
            executor.wait(1.0)
        ready = time.perf_counter()
        seconds = []
        for number in range(num_jobs):
            before = time.perf_counter()
            executor.submit(Ticket(number), number)
            while not executor.wait(1.0):
                pass
            seconds.append(time.perf_counter() - before)
        executor.close()
    return connected - started, ready - connected, statistics.median(seconds)


def main() -> None:
    """Measure and print one line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--jobs", type=int, default=300)
    arguments = parser.parse_args()
    start, ready, job = measure(arguments.workers, arguments.jobs)
    sys.stdout.write(f"cluster {start:.1f} s, first worker {ready:.1f} s, median of a job {1e3 * job:.2f} ms\n")


if __name__ == "__main__":
    main()
