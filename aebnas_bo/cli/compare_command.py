"""`aebnas-bo compare`: compare methods on the same images."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from aebnas_bo.cli.options import (
    BudgetOption,
    DeviceOption,
    JsonOption,
    MaxMacsOption,
    MinAccuracyOption,
    QuietOption,
    RayOption,
    SettingsOption,
    WorkersOption,
    all_settings,
    execution_flags,
    limit_flags,
    read_path,
)
from aebnas_bo.cli.reporting import reported_errors, show


def compare(
    config: Annotated[
        Path, typer.Argument(parser=read_path, metavar="CONFIG", help="YAML file with the images and the space.")
    ],
    methods: Annotated[
        str, typer.Option(help="Names or paths, separated by commas; the folder methods/ next to CONFIG comes first.")
    ] = "plain,static,edanas,nachos,aebnas,aebnas-bo",
    seeds: Annotated[str, typer.Option(help="Seeds, such as 0-4 or 0,3,7-9.")] = "0",
    budget: BudgetOption = None,
    max_average_macs: MaxMacsOption = None,
    min_accuracy: MinAccuracyOption = None,
    out: Annotated[
        Path | None,
        typer.Option(parser=read_path, metavar="PATH", help="Folder of all runs; by default runs/NAME-methods."),
    ] = None,
    settings: SettingsOption = None,
    device: DeviceOption = None,
    ray: RayOption = None,
    workers: WorkersOption = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Run several methods on the same images and budgets and write one table; finished runs are not repeated."""
    options = all_settings(
        settings,
        {
            **limit_flags(budget=budget, max_average_macs=max_average_macs, min_accuracy=min_accuracy),
            **execution_flags(ray, workers),
            "device": device,
        },
    )
    with reported_errors(as_json, quiet, way_on="The same command continues.") as command:
        from aebnas_bo.config.loading import load_config
        from aebnas_bo.experiments.comparison.method_files import method_files
        from aebnas_bo.experiments.comparison.shared_settings import check_shared
        from aebnas_bo.seeding import parse_seeds
        from aebnas_bo.storage.run_folder import RUNS, check_folder

        wanted = parse_seeds(seeds)
        load_config(config)  # report its errors before those of the methods
        files = method_files([name.strip() for name in methods.split(",") if name.strip()], config)
        configs = {name: load_config(config, options, path) for name, path in files.items()}
        check_shared(configs)
        folder = out or RUNS / f"{next(iter(configs.values())).name}-methods"
        check_folder(folder)

        from aebnas_bo.analysis.table_layout import print_table
        from aebnas_bo.experiments.comparison.comparison_study import run_comparison
        from aebnas_bo.experiments.comparison.comparison_tables import terminal_table, write_outputs

        with command.progress() as progress:
            runs = run_comparison(configs, wanted, folder, progress=progress)
        write_outputs(folder, runs)

        def draw(stdout: Console) -> None:
            print_table(stdout, terminal_table(runs))
            stdout.print(f"results are in {folder}", highlight=False, soft_wrap=True)

        document = {"folder": str(folder), "runs": [asdict(run) for run in runs]}
        show(document, draw, as_json=as_json, width=200)
