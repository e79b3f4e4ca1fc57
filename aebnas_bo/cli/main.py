"""The console script `aebnas-bo` with its sub-commands."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from aebnas_bo.cli.deploy_commands import export, latency, latency_table, predict, train
from aebnas_bo.cli.report_commands import report, status
from aebnas_bo.cli.run_command import (
    BudgetOption,
    DeviceOption,
    JsonOption,
    MaxMacsOption,
    MinAccuracyOption,
    QuietOption,
    SettingsOption,
    all_settings,
    limit_flags,
    reported_errors,
    run,
)

app = typer.Typer(add_completion=False, no_args_is_help=True, pretty_exceptions_show_locals=False)
app.command()(run)
app.command()(train)
app.command()(export)
app.command()(predict)
app.command()(latency)
app.command()(latency_table)
app.command()(report)
app.command()(status)


@app.callback()
def _root() -> None:
    """Bayesian search for early-exit neural networks."""


@app.command()
def space(
    config: Annotated[Path | None, typer.Argument(help="YAML file; without it the embedded default.")] = None,
) -> None:
    """Describe a search space: its parameters, its size and the costs of its extremes."""
    with reported_errors(as_json=False, quiet=False):
        from aebnas_bo.cli.space_description import describe_space

        Console().print(describe_space(config))


@app.command()
def fidelity(
    config: Annotated[Path | None, typer.Argument(help="YAML file; without it the embedded default.")] = None,
    num_architectures: Annotated[
        int | None, typer.Option("--num-architectures", min=4, help="Networks drawn and trained alone.")
    ] = None,
    band: Annotated[
        str | None,
        typer.Option(metavar="LOW,HIGH", help="Only networks of these average MACs in millions, such as 1.8,2.6."),
    ] = None,
    seed: Annotated[int | None, typer.Option(min=0, help="Seed of draws and training.")] = None,
    out: Annotated[Path | None, typer.Option(help="Folder of the study; by default a new one below runs/.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the study in the folder.")] = False,
    settings: SettingsOption = None,
    device: DeviceOption = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Compare estimates, and MACs alone, with networks trained alone: rank correlations with intervals."""
    flags = {"fidelity.num_architectures": num_architectures, "seed": seed, "device": device}
    with reported_errors(as_json, quiet) as command:
        from aebnas_bo.config.loading import load_config
        from aebnas_bo.experiments.rank_correlation.band import parse_band
        from aebnas_bo.experiments.rank_correlation.correlation_study import run_fidelity
        from aebnas_bo.experiments.rank_correlation.correlation_tables import correlation_table, tau_table
        from aebnas_bo.experiments.rank_correlation.verdict import verdict
        from aebnas_bo.preparation.progress import RunProgress
        from aebnas_bo.storage.run_folder import choose_run_folder

        limits = {"fidelity.band": None if band is None else list(parse_band(band))}
        loaded = load_config(config, all_settings(settings, {**flags, **limits}))
        folder = choose_run_folder(out, f"{loaded.name}-fidelity-seed{loaded.seed}", resume)
        with RunProgress(command.stderr, quiet, command.stop.check) as progress:
            report = run_fidelity(loaded, folder, resume, progress)
        if as_json:
            found = [asdict(entry) for entry in report.agreements]
            document = {
                "folder": str(folder.path),
                "verdict": verdict(report.agreements),
                "agreements": found,
                "seconds": report.seconds,
            }
            sys.stdout.write(json.dumps(document, allow_nan=False) + "\n")
            return
        stdout = Console()
        if not stdout.is_terminal:
            stdout = Console(width=160)
        stdout.print(tau_table(report.agreements))
        stdout.print(f"\n{verdict(report.agreements)}\n", highlight=False)
        stdout.print(correlation_table(report.agreements))
        stdout.print(f"everything is in {folder.path}", highlight=False, soft_wrap=True)


@app.command()
def compare(
    config: Annotated[Path, typer.Argument(help="YAML file with the images and the space.")],
    methods: Annotated[
        str, typer.Option(help="Names or paths, separated by commas; methods/ beside CONFIG precedes the package.")
    ] = "plain,static,edanas,nachos,aebnas,aebnas-bo",
    seeds: Annotated[str, typer.Option(help="Seeds, such as 0-4 or 0,3,7-9.")] = "0",
    budget: BudgetOption = None,
    max_average_macs: MaxMacsOption = None,
    min_accuracy: MinAccuracyOption = None,
    out: Annotated[Path | None, typer.Option(help="Folder of all runs; by default runs/NAME-methods.")] = None,
    settings: SettingsOption = None,
    device: DeviceOption = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Run several methods on the same images and budgets and write one table; what is finished is not run again."""
    options = all_settings(settings, {**limit_flags(budget, max_average_macs, min_accuracy), "device": device})
    with reported_errors(as_json, quiet, way_on="The same command goes on.") as command:
        from aebnas_bo.config.loading import load_config
        from aebnas_bo.experiments.comparison.comparison_study import run_comparison
        from aebnas_bo.experiments.comparison.comparison_tables import terminal_table, write_outputs
        from aebnas_bo.experiments.comparison.method_files import method_files
        from aebnas_bo.preparation.progress import RunProgress
        from aebnas_bo.seeding import parse_seeds
        from aebnas_bo.storage.run_folder import RUNS

        load_config(config)  # a mistake there is none of the methods'
        files = method_files([name.strip() for name in methods.split(",") if name.strip()], config)
        configs = {name: load_config(config, options, path) for name, path in files.items()}
        folder = out or RUNS / f"{next(iter(configs.values())).name}-methods"
        with RunProgress(command.stderr, quiet, command.stop.check) as progress:
            runs = run_comparison(configs, parse_seeds(seeds), folder, progress)
        write_outputs(folder, runs)
        if as_json:
            document = {"folder": str(folder), "runs": [asdict(run) for run in runs]}
            sys.stdout.write(json.dumps(document, allow_nan=False) + "\n")
            return
        stdout = Console()
        if not stdout.is_terminal:
            stdout = Console(width=200)
        stdout.print(terminal_table(runs))
        stdout.print(f"everything is in {folder}", highlight=False, soft_wrap=True)


def main() -> None:
    """Run the console script."""
    app()

