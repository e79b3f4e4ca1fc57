"""`aebnas-bo fidelity`: estimates against networks trained alone."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from aebnas_bo.cli.options import (
    DeviceOption,
    JsonOption,
    QuietOption,
    SettingsOption,
    all_settings,
)
from aebnas_bo.cli.reporting import reported_errors, show


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
        from aebnas_bo.storage.run_folder import choose_run_folder, remove_if_empty

        limits = {"fidelity.band": None if band is None else list(parse_band(band))}
        loaded = load_config(config, all_settings(settings, {**flags, **limits}))
        folder = choose_run_folder(out, f"{loaded.name}-fidelity-seed{loaded.seed}", resume)
        command.at_end.callback(remove_if_empty, folder)
        with RunProgress(command.stderr, quiet, command.stop.check) as progress:
            report = run_fidelity(loaded, folder, resume=resume, progress=progress)

        def draw(stdout: Console) -> None:
            stdout.print(tau_table(report.agreements))
            stdout.print(f"\n{verdict(report.agreements)}\n", highlight=False)
            stdout.print(correlation_table(report.agreements))
            stdout.print(f"everything is in {folder.path}", highlight=False, soft_wrap=True)

        document = {
            "folder": str(folder.path),
            "verdict": verdict(report.agreements),
            "agreements": [asdict(entry) for entry in report.agreements],
            "seconds": report.seconds,
        }
        show(document, draw, as_json=as_json, width=160)
