"""Networks of `aebnas-bo run --time-budget`, compared with plain networks of equal MACs trained in the same time.

    python -m benchmarks.worth configs/worth/cifar10-mini.yaml --minutes 30 --seeds 0 1 2 --jobs 2

For each seed, three parts have equal time: the command with `--time-budget`, including all its phases; a family of
plain networks, trained by the final recipe; and the same family with one exit. docs/worth.md describes the comparison
and how time is counted. `--reference` trains the plain networks by the schedule of an independent script instead, to
check that the plain family is a strong baseline. All files are in the folder `--out`; finished jobs are not run again.
"""

from __future__ import annotations

import argparse
import multiprocessing
import sys
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path

from aebnas_bo.config.loading import load_config
from aebnas_bo.config.schema import Config
from aebnas_bo.errors import AebnasError, UsageError
from aebnas_bo.execution.cpu import set_up_cpu
from benchmarks.worth_command import run_command
from benchmarks.worth_comparison import compare
from benchmarks.worth_jobs import Job, Part, read_results, write_results
from benchmarks.worth_page import write_page, write_table
from benchmarks.worth_plain import run_plain
from benchmarks.worth_plot import plot_worth

BUDGETS = {  # average MACs in millions, by name of the configuration
    "cifar10-mini": (0.09, 0.28, 0.9),
    "cifar100-20": (0.25, 0.8, 2.5),
    "gtsrb": (0.2, 0.63, 2.0),
    "trashnet": (0.25, 0.8, 2.5),
    "drawn-digits": (0.12, 0.38, 1.2),
}
WIDTHS = {  # of the stems of plain networks; their MACs span the budgets
    "cifar10-mini": (5, 8, 12, 18, 27),
    "cifar100-20": (4, 6, 10, 15, 22),
    "gtsrb": (3, 5, 8, 13, 20),
    "trashnet": (2, 4, 6, 9, 14),
    "drawn-digits": (3, 5, 8, 12, 16),
}
PARTS: tuple[Part, ...] = ("ours", "plain", "exit")


def main() -> None:
    """Run the missing jobs and write tables and figure."""
    arguments = _arguments()
    try:
        config = load_config(arguments.config)
        budgets, widths = _figures_of(config, arguments.budgets, arguments.widths)
        folder = arguments.out or Path("runs") / "worth" / f"{config.name}-{arguments.minutes:g}"
        read_results(
            folder, config, arguments.minutes, widths=widths
        )  # raises an error for other settings before the long run
        parts: Sequence[Part] = ("reference",) if arguments.reference else arguments.parts
        jobs = _jobs(arguments, parts, widths, folder=folder, max_macs=max(budgets))
        failed = run_jobs([job for job in jobs if not job.rows.exists()], arguments.jobs)
        write_outputs(folder, config, arguments.minutes, budgets=budgets, widths=widths)
    except AebnasError as error:
        sys.stderr.write(f"error: {error}\n")
        sys.exit(error.exit_code)
    sys.exit(1 if failed else 0)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("config", type=Path, help="YAML file with the settings of the images")
    parser.add_argument("--minutes", type=float, default=30.0, help="time of each part per seed")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--parts", choices=PARTS, nargs="+", default=list(PARTS))
    parser.add_argument("--reference", action="store_true", help="train the plain networks by the reference's schedule")
    parser.add_argument("--jobs", type=int, default=1, help="processes at once, of one thread each")
    parser.add_argument("--budgets", type=float, nargs="+", help="average MACs in millions")
    parser.add_argument("--widths", type=int, nargs="+", help="channels of the plain networks' stems")
    parser.add_argument("--out", type=Path, help="folder; by default runs/worth/NAME-MINUTES")
    return parser.parse_args()


def _figures_of(
    config: Config, budgets: Sequence[float] | None, widths: Sequence[int] | None
) -> tuple[Sequence[float], Sequence[int]]:
    """Return the given budgets and widths, or the defaults of a data set.

    Raises:
        UsageError: If one is not given for a data set without defaults, or a width is not positive.
    """
    budgets, widths = budgets or BUDGETS.get(config.name), widths or WIDTHS.get(config.name)
    if not budgets or not widths:
        raise UsageError(
            f"no budgets are known for {config.name}, only for {', '.join(BUDGETS)}; give --budgets (average MACs in "
            "millions) and --widths (channels of the plain networks' stems)"
        )
    if min(budgets) <= 0 or min(widths) < 1:
        raise UsageError("--budgets and --widths: expected positive numbers")
    return sorted(set(budgets)), sorted(set(widths))


def _jobs(
    arguments: argparse.Namespace, parts: Sequence[Part], widths: Sequence[int], *, folder: Path, max_macs: float
) -> list[Job]:
    """Return all jobs, seed by seed, the command first."""
    jobs = []
    for seed in arguments.seeds:
        for part in parts:
            networks = [0] if part == "ours" else widths
            jobs += [
                Job(arguments.config, folder, arguments.minutes, part, seed, width, len(networks), max_macs)
                for width in networks
            ]
    return jobs


def run_jobs(jobs: Sequence[Job], at_once: int) -> int:
    """Run jobs, several at once in separate processes; a failed job does not stop the others.

    Args:
        jobs: Missing jobs.
        at_once: Number of processes.

    Returns:
        The number of failed jobs.
    """
    failed = 0
    if at_once == 1:
        for job in jobs:
            failed += _report(job, _failure(job))
        return failed
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(at_once, mp_context=context, max_tasks_per_child=1) as pool:
        running = {pool.submit(_failure, job): job for job in jobs}
        try:
            for future in as_completed(running):
                failed += _report(running[future], future.result())
        except KeyboardInterrupt:
            pool.shutdown(cancel_futures=True)  # otherwise waiting jobs would start
            raise
    return failed


def _failure(job: Job) -> str:
    """Run a job and write its file; return the error message of a failure."""
    set_up_cpu(1)
    try:
        config = load_config(job.config)
        write_results(job.rows, [run_command(job, config) if job.part == "ours" else run_plain(job, config)])
    except AebnasError as error:
        return str(error)
    return ""


def _report(job: Job, failure: str) -> int:
    sys.stderr.write(f"{job.name}: {failure or 'done'}\n")
    return 1 if failure else 0


def write_outputs(
    folder: Path, config: Config, minutes: float, *, budgets: Sequence[float], widths: Sequence[int]
) -> None:
    """Write `rows.csv`, `worth.csv`, `worth.md` and `worth.png` from the finished jobs.

    Args:
        folder: Folder of all jobs.
        config: Configuration of the images.
        minutes: Time budget of each part with one seed.
        budgets: Average MACs in millions.
        widths: Widths of the plain families.
    """
    results = read_results(folder, config, minutes, widths=widths)
    if not results:
        return
    title = f"{config.name}, {minutes:g} minutes"
    lines = compare(results, budgets, widths)
    write_results(folder / "rows.csv", results)
    write_table(folder, lines)
    write_page(folder, results, lines, title=title, widths=widths)
    plot_worth(folder / "worth.png", results, budgets, title=title, widths=widths)
    sys.stdout.write((folder / "worth.md").read_text(encoding="utf-8"))


if __name__ == "__main__":
    main()
