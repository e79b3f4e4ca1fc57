"""`aebnas-bo run`, also `python -m aebnas_bo.run`: search early-exit networks on images."""

from __future__ import annotations

import json
import os
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from aebnas_bo.cli.options import (
    BudgetOption,
    DeviceOption,
    JsonOption,
    MaxLatencyOption,
    MaxMacsOption,
    MinAccuracyOption,
    ProcessesOption,
    QuietOption,
    RayOption,
    ResumeOption,
    SettingsOption,
    StartOption,
    TimeOption,
    TrackOption,
    WorkersOption,
    all_settings,
    execution_flags,
    limit_flags,
    read_path,
    track_flag,
)
from aebnas_bo.cli.reporting import STARTS_OVER, Command, reported_errors, show
from aebnas_bo.study.duration import parse_minutes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aebnas_bo.analysis.summary import Summary
    from aebnas_bo.config.schema import Config
    from aebnas_bo.search.objectives import Objective
    from aebnas_bo.search.trial import Trial
    from aebnas_bo.storage.run_folder import RunFolder
    from aebnas_bo.study.timed_run import TimedResult

STARTED_BY_TORCHRUN = "TORCHELASTIC_RUN_ID"


def run(
    config: Annotated[
        Path | None, typer.Option(parser=read_path, metavar="PATH", help="YAML file; by default the embedded digits.")
    ] = None,
    budget: BudgetOption = None,
    time_budget: TimeOption = None,
    max_average_macs: MaxMacsOption = None,
    min_accuracy: MinAccuracyOption = None,
    max_latency_ms: MaxLatencyOption = None,
    seed: Annotated[int | None, typer.Option(min=0, help="Seed of training, initial design and proposals.")] = None,
    out: Annotated[
        Path | None,
        typer.Option(parser=read_path, metavar="PATH", help="Run folder; by default a new one below runs/."),
    ] = None,
    resume: ResumeOption = False,
    resume_or_start: StartOption = False,
    settings: SettingsOption = None,
    device: DeviceOption = None,
    ray: RayOption = None,
    workers: WorkersOption = None,
    processes: ProcessesOption = None,
    track: TrackOption = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Search for early-exit networks with the best trade-off between accuracy and average MACs."""
    limits = limit_flags(
        budget=budget, max_average_macs=max_average_macs, min_accuracy=min_accuracy, max_latency_ms=max_latency_ms
    )
    with reported_errors(as_json, quiet) as command:
        from aebnas_bo.storage.run_folder import remove_if_empty

        if STARTED_BY_TORCHRUN in os.environ:
            from aebnas_bo.training.process_start import follow, is_follower, release_followers, torchrun_processes

            if is_follower():
                follow()
                return
            command.at_end.callback(release_followers)
            processes = processes or torchrun_processes()
        minutes = None if time_budget is None else parse_minutes(time_budget)
        flags = {**limits, **execution_flags(ray, workers), **track_flag(track), "supernet.processes": processes}
        options = all_settings(settings, {**flags, "time_budget": minutes, "seed": seed, "device": device})
        folder, loaded = _choose(config, options, out, resume=resume, may_start=resume_or_start)
        command.at_end.callback(remove_if_empty, folder)
        command.way_on = partial(_way_on, folder)
        _run(loaded, folder, command, options=options, has_file=config is not None)


def _choose(
    config_path: Path | None, options: list[str], out: Path | None, *, resume: bool, may_start: bool
) -> tuple[RunFolder, Config]:
    """Return the run folder and the configuration, without importing PyTorch, to report errors fast."""
    from aebnas_bo.config.loading import load_config
    from aebnas_bo.storage.run_folder import RunFolder, choose_run_folder
    from aebnas_bo.study.resuming import check_resumed, given_config

    goes_on = resume or may_start
    if out is not None and goes_on:
        config = given_config(RunFolder(out), config_path, options)
    else:
        config = load_config(config_path, options)
    stem = f"{config.name}-seed{config.seed}"
    folder = choose_run_folder(out, stem, goes_on, may_start=may_start or not resume)
    if folder.holds_study:
        check_resumed(folder, config, has_file=config_path is not None, options=options)
    return folder, config


def _way_on(folder: RunFolder) -> str:
    """Return how to continue after a signal stopped the run."""
    from aebnas_bo.storage.run_folder import resume_command

    if folder.holds_study:
        return f"Resume with {resume_command(folder)}."
    return f"Nothing is stored yet. {STARTS_OVER}"


def _run(config: Config, folder: RunFolder, command: Command, *, options: list[str], has_file: bool) -> None:
    # Imported here because PyTorch and Ax take seconds to import, which --help and usage errors need not wait for.
    from aebnas_bo.deploy.front_with_trained import draw_front
    from aebnas_bo.preparation.problem import Problem
    from aebnas_bo.study.resuming import resumed_config
    from aebnas_bo.study.running import run_study
    from aebnas_bo.study.timed_run import planned_settings, run_in_time
    from aebnas_bo.tracking.watching import watching

    overruled: list[str] = []
    is_begun = folder.holds_study
    if is_begun:
        config, overruled = planned_settings(config, folder, options)
        config = resumed_config(folder.study, config, has_file=has_file, options=options)
    timed: TimedResult | None = None
    with command.progress() as progress, watching(config, folder) as progress.watcher:
        for line in overruled:
            progress.message(line)
        if config.time_budget is None:
            summary = run_study(Problem.load(config), folder, progress, resume=is_begun)
        else:
            timed = run_in_time(Problem.load(config), folder, progress, resume=is_begun)
            summary = timed.summary
    draw_front(folder)  # redraw with the trained networks
    trained = [json.loads(network.to_json()) for network in timed.networks] if timed is not None else []
    document = {"folder": str(folder.path), **asdict(summary), **({"trained": trained} if timed else {})}
    print_result = partial(_print_result, command, folder, summary=summary, timed=timed)
    show(document, print_result, as_json=command.as_json, width=160)


def _print_result(
    command: Command, folder: RunFolder, stdout: Console, *, summary: Summary, timed: TimedResult | None
) -> None:
    from aebnas_bo.analysis.pareto import pareto_front
    from aebnas_bo.analysis.summary import majority_text
    from aebnas_bo.analysis.supernet_check import supernet_warning
    from aebnas_bo.search.trial_store import TrialStore
    from aebnas_bo.study.timed_output import next_step, print_timed

    with TrialStore.open_read_only(folder.study) as store:
        objectives, trials = store.study.objectives, store.trials()
    is_brief = timed is not None and timed.is_brief  # its estimates do not rank networks
    if not is_brief:
        _print_estimates(stdout, folder, objectives, trials=trials, summary=summary)
    if majority := majority_text(summary):
        stdout.print(majority, highlight=False, soft_wrap=True, markup=False)
    if not is_brief and (warning := supernet_warning(summary.plain_tau)):
        command.stderr.print(warning, highlight=False, soft_wrap=True)
    if timed is not None:
        print_timed(stdout, timed)
    stdout.print(f"results are in {folder.path}", highlight=False, soft_wrap=True, markup=False)
    has_front = bool(pareto_front(trials, objectives))
    stdout.print(next_step(folder, timed, has_front=has_front), highlight=False, soft_wrap=True, markup=False)


def _print_estimates(
    stdout: Console,
    folder: RunFolder,
    objectives: Sequence[Objective],
    *,
    trials: Sequence[Trial],
    summary: Summary,
) -> None:
    from aebnas_bo.analysis.front_table import front_table, limits_text, optimism_text
    from aebnas_bo.analysis.pareto import pareto_front
    from aebnas_bo.analysis.summary import corrected_accuracies
    from aebnas_bo.analysis.table_layout import print_table
    from aebnas_bo.deploy.front_with_trained import trained_points
    from aebnas_bo.storage.count_text import counted

    front, corrected = pareto_front(trials, objectives), corrected_accuracies(summary)
    print_table(stdout, front_table(front, objectives, corrected, trained=trained_points(folder)))
    for text in (optimism_text(summary.optimism), limits_text(trials, objectives)):
        if text:
            stdout.print(text, highlight=False, soft_wrap=True)
    stdout.print(
        f"hypervolume {summary.hypervolume_with_settings:.4f} after {counted(sum(summary.trials.values()), 'trial')} "
        f"({summary.hypervolume:.4f} at the proposed thresholds only)",
        highlight=False,
        soft_wrap=True,
    )


def main() -> None:
    """Run the command as the main program."""
    typer.run(run)
