"""`aebnas-bo run`, also `python -m aebnas_bo.run`: search early-exit networks on images.

Exit codes: 0 done, 2 usage, 3 configuration, 4 data, 5 run folder in use, 6 too many failed trials, 7 unreadable or
corrupt state, 130 and 143 stopped by a signal (`--resume` goes on).
"""

from __future__ import annotations

import json
import logging
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Literal, NoReturn

import typer
from rich.console import Console
from rich.logging import RichHandler
from rich.markup import escape

from aebnas_bo.cli.stopping import StopSignals
from aebnas_bo.errors import AebnasError, ConfigError, StopRequested
from aebnas_bo.study.duration import parse_minutes

SettingsOption = Annotated[
    list[str] | None, typer.Option("--set", metavar="SECTION.KEY=VALUE", help="Change one setting; repeatable.")
]
BudgetOption = Annotated[int | None, typer.Option(min=1, help="Evaluated trials, the first design included.")]
MaxMacsOption = Annotated[
    float | None, typer.Option(min=0.0, help="Most average MACs, in millions, of an admissible network.")
]
MinAccuracyOption = Annotated[
    float | None, typer.Option(min=0.0, max=100.0, help="Least accuracy, in percent, of an admissible network.")
]
MaxLatencyOption = Annotated[
    float | None, typer.Option(min=0.0, help="Most average milliseconds, where latency_ms is an objective.")
]
TimeOption = Annotated[
    str | None,
    typer.Option(
        "--time-budget",
        metavar="TIME",
        help="Time for everything, such as 30m or 2h: search, then train the best networks to the end.",
    ),
]
DeviceOption = Annotated[Literal["cpu", "cuda", "auto"] | None, typer.Option(help="Where networks run.")]
JsonOption = Annotated[bool, typer.Option("--json", help="One JSON document on stdout, logs on stderr.")]
QuietOption = Annotated[bool, typer.Option("--quiet", help="No progress, only the result.")]


def run(
    config: Annotated[Path | None, typer.Option(help="YAML file; without it the embedded digits run.")] = None,
    budget: BudgetOption = None,
    time_budget: TimeOption = None,
    max_average_macs: MaxMacsOption = None,
    min_accuracy: MinAccuracyOption = None,
    max_latency_ms: MaxLatencyOption = None,
    seed: Annotated[int | None, typer.Option(min=0, help="Seed of training, design and proposals.")] = None,
    out: Annotated[Path | None, typer.Option(help="Run folder; by default a new one below runs/.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the study in the run folder.")] = False,
    settings: SettingsOption = None,
    device: DeviceOption = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Search early-exit networks with the best trade-off between accuracy and average MACs."""
    limits = limit_flags(budget, max_average_macs, min_accuracy, max_latency_ms)
    with reported_errors(as_json, quiet) as command:
        minutes = None if time_budget is None else parse_minutes(time_budget)
        options = all_settings(settings, {**limits, "time_budget": minutes, "seed": seed, "device": device})
        _run(config, options, out, resume, as_json, quiet, command)


def limit_flags(
    budget: int | None, max_average_macs: float | None, min_accuracy: float | None, max_latency_ms: float | None = None
) -> dict[str, float | None]:
    """Return the settings that the flags of budget and limits stand for."""
    return {
        "search.budget": budget,
        "search.max_average_macs": max_average_macs,
        "search.min_accuracy": min_accuracy,
        "search.max_latency_ms": max_latency_ms,
    }


def all_settings(settings: Sequence[str] | None, flags: Mapping[str, object]) -> list[str]:
    """Return what `--set` said, followed by the settings whose own flag was given."""
    return [*(settings or []), *(f"{name}={value}" for name, value in flags.items() if value is not None)]


@dataclass(frozen=True)
class Command:
    """A command at work.

    Args:
        stderr: Where it shows progress and problems.
        stop: The signals that end it.
    """

    stderr: Console
    stop: StopSignals


@contextmanager
def reported_errors(as_json: bool, quiet: bool, way_on: str = "Go on with --resume.") -> Iterator[Command]:
    """Run a command; errors and signals become messages and exit codes.

    Args:
        as_json: Whether to write the error as a JSON document on stdout too.
        quiet: Whether nothing but errors is logged.
        way_on: How to go on once a signal has stopped it.
    """
    stderr = Console(stderr=True)
    _set_up_logging(stderr, quiet)
    stop = StopSignals()
    stop.install()
    _keep_kernels()
    try:
        yield Command(stderr, stop)
    except AebnasError as error:
        problems = list(error.problems) if isinstance(error, ConfigError) else [str(error)]
        for problem in problems:
            stderr.print(f"[bold red]error:[/] {escape(problem)}", highlight=False, soft_wrap=True)
        _end(type(error).__name__, error.exit_code, problems, as_json)
    except StopRequested as request:
        stderr.print(f"[bold]{request}[/]; what was finished is stored. {way_on}", highlight=False)
        _end(type(request).__name__, request.exit_code, [str(request)], as_json)


def _keep_kernels() -> None:
    """Let oneDNN keep the kernels of all layers a supernet may use; with its own limit, 1024, it recompiles them."""
    os.environ.setdefault("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "20000")  # read when PyTorch first runs a convolution


def _end(name: str, exit_code: int, problems: list[str], as_json: bool) -> NoReturn:
    if as_json:
        sys.stdout.write(json.dumps({"error": name, "exit_code": exit_code, "problems": problems}) + "\n")
    raise typer.Exit(exit_code)


def _run(
    config_path: Path | None,
    options: list[str],
    out: Path | None,
    resume: bool,
    as_json: bool,
    quiet: bool,
    command: Command,
) -> None:
    # Imported here: PyTorch and Ax take seconds to import, and --help or a wrong flag should not wait for them.
    from aebnas_bo.analysis.front_table import front_table, limits_text, optimism_text
    from aebnas_bo.analysis.pareto import pareto_front
    from aebnas_bo.analysis.summary import corrected_accuracies
    from aebnas_bo.analysis.supernet_check import supernet_warning
    from aebnas_bo.config.loading import load_config
    from aebnas_bo.deploy.trained_points import draw_front, trained_points
    from aebnas_bo.preparation.progress import RunProgress
    from aebnas_bo.search.trial_store import TrialStore
    from aebnas_bo.storage.run_folder import choose_run_folder
    from aebnas_bo.study.resuming import resumed_config
    from aebnas_bo.study.running import run_study
    from aebnas_bo.study.timed_output import next_step, print_timed
    from aebnas_bo.study.timed_run import TimedResult, planned_settings, run_in_time

    config = load_config(config_path, options)
    folder = choose_run_folder(out, f"{config.name}-seed{config.seed}", resume)
    overruled: list[str] = []
    if folder.holds_study:
        config, overruled = planned_settings(config, folder, options)
        config = resumed_config(folder.study, config, config_path is not None, options)
    timed: TimedResult | None = None
    with RunProgress(command.stderr, quiet, command.stop.check) as progress:
        for line in overruled:
            progress.message(line)
        if config.time_budget is None:
            summary = run_study(config, folder, resume, progress)
        else:
            timed = run_in_time(config, folder, resume, progress)
            summary = timed.summary
    draw_front(folder)  # again, with the networks that were trained
    if as_json:
        trained = [json.loads(network.to_json()) for network in timed.networks] if timed is not None else []
        document = {"folder": str(folder.path), **asdict(summary), **({"trained": trained} if timed else {})}
        sys.stdout.write(json.dumps(document, allow_nan=False) + "\n")
        return
    with TrialStore.open_read_only(folder.study) as store:
        objectives, trials = store.study.objectives, store.trials()
    stdout = Console()
    if not stdout.is_terminal:
        stdout = Console(width=160)
    front, corrected = pareto_front(trials, objectives), corrected_accuracies(summary)
    stdout.print(front_table(front, objectives, corrected, trained=trained_points(folder)))
    if optimism := optimism_text(summary.optimism):
        stdout.print(optimism, highlight=False, soft_wrap=True)
    if limits := limits_text(trials, objectives):
        stdout.print(limits, highlight=False, soft_wrap=True)
    stdout.print(
        f"hypervolume {summary.hypervolume_with_settings:.4f} after {sum(summary.trials.values())} trials "
        f"({summary.hypervolume:.4f} at their own thresholds alone); "
        f"everything is in {folder.path}",
        highlight=False,
        soft_wrap=True,
    )
    if warning := supernet_warning(summary.plain_tau):
        command.stderr.print(warning, highlight=False, soft_wrap=True)
    if timed is not None:
        print_timed(stdout, timed)
    stdout.print(next_step(folder, timed, has_front=bool(front)), highlight=False, soft_wrap=True, markup=False)


def _set_up_logging(stderr: Console, quiet: bool) -> None:
    wanted = os.environ.get("AEBNAS_BO_LOG", "WARNING").upper()
    level = "ERROR" if quiet or wanted not in logging.getLevelNamesMapping() else wanted
    handler = RichHandler(console=stderr, show_path=False, show_time=False)
    logging.basicConfig(level=level, format="%(message)s", handlers=[handler])
    # Libraries warn of their own deprecations and greet on import, past any level; who debugs can see it.
    logging.captureWarnings(True)
    if level not in {"INFO", "DEBUG"}:
        logging.disable(logging.INFO)
        logging.getLogger("py.warnings").setLevel(logging.ERROR)


def main() -> None:
    """Run the command; its exit code is the process's."""
    typer.run(run)
