"""`aebnas-bo fidelity`: compare estimates with networks trained separately."""

from __future__ import annotations

import shlex
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from aebnas_bo.cli.options import (
    DeviceOption,
    JsonOption,
    QuietOption,
    RayOption,
    ResumeOption,
    SettingsOption,
    StartOption,
    WorkersOption,
    all_settings,
    execution_flags,
    read_path,
)
from aebnas_bo.cli.reporting import STARTS_OVER, reported_errors, show

if TYPE_CHECKING:
    from aebnas_bo.storage.run_folder import RunFolder


def fidelity(
    config: Annotated[
        Path | None,
        typer.Argument(parser=read_path, metavar="CONFIG", help="YAML file; by default the embedded digits."),
    ] = None,
    num_architectures: Annotated[
        int | None, typer.Option("--num-architectures", min=4, help="Number of networks to draw and train.")
    ] = None,
    band: Annotated[
        str | None,
        typer.Option(metavar="LOW,HIGH", help="Range of average MACs in millions, such as 1.8,2.6."),
    ] = None,
    seed: Annotated[int | None, typer.Option(min=0, help="Seed of drawing and training.")] = None,
    out: Annotated[
        Path | None,
        typer.Option(parser=read_path, metavar="PATH", help="Folder of the study; by default a new one below runs/."),
    ] = None,
    resume: ResumeOption = False,
    resume_or_start: StartOption = False,
    settings: SettingsOption = None,
    device: DeviceOption = None,
    ray: RayOption = None,
    workers: WorkersOption = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Compare estimates, and MACs as a baseline, with separately trained networks by rank correlation."""
    flags: dict[str, object] = {"fidelity.num_architectures": num_architectures, "seed": seed, "device": device}
    flags |= execution_flags(ray, workers)
    with reported_errors(as_json, quiet) as command:
        from aebnas_bo.config.loading import load_config
        from aebnas_bo.experiments.rank_correlation.band_option import parse_band
        from aebnas_bo.storage.run_folder import choose_run_folder, remove_if_empty

        if band is not None:
            flags["fidelity.band"] = list(parse_band(band))
        goes_on = resume or resume_or_start
        loaded = load_config(config, all_settings(settings, flags))  # before importing PyTorch, to report errors fast
        stem, may_start = f"{loaded.name}-fidelity-seed{loaded.seed}", resume_or_start or not resume
        folder = choose_run_folder(out, stem, goes_on, may_start=may_start, is_begun=_is_begun)
        command.at_end.callback(remove_if_empty, folder)
        command.way_on = partial(_way_on, folder)

        from aebnas_bo.analysis.table_layout import print_table
        from aebnas_bo.experiments.rank_correlation.correlation_study import run_fidelity
        from aebnas_bo.experiments.rank_correlation.correlation_tables import correlation_table, tau_table
        from aebnas_bo.experiments.rank_correlation.verdict import verdict

        with command.progress() as progress:
            report = run_fidelity(loaded, folder, resume=goes_on, progress=progress)

        def draw(stdout: Console) -> None:
            print_table(stdout, tau_table(report.agreements))
            stdout.print(f"\n{verdict(report.agreements)}\n", highlight=False)
            print_table(stdout, correlation_table(report.agreements))
            stdout.print(f"results are in {folder.path}", highlight=False, soft_wrap=True)

        document = {
            "folder": str(folder.path),
            "verdict": verdict(report.agreements),
            "agreements": [asdict(entry) for entry in report.agreements],
            "seconds": report.seconds,
        }
        show(document, draw, as_json=as_json, width=160)


def _is_begun(folder: RunFolder) -> bool:
    """Return whether a folder contains a rank correlation study, or other files that its command refuses."""
    return folder.config.exists()


def _way_on(folder: RunFolder) -> str:
    """Return how to continue after a signal stopped the study."""
    if folder.config.exists():
        return f"To resume, run the same command with --out {shlex.quote(str(folder.path))} --resume."
    return f"Nothing is stored yet. {STARTS_OVER}"
