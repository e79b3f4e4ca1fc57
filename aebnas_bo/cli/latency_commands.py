"""`aebnas-bo latency` and `latency-table`: time networks and their parts on this machine."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from aebnas_bo.cli.options import (
    DeviceOption,
    JsonOption,
    QuietOption,
    SettingsOption,
    all_settings,
)
from aebnas_bo.cli.reporting import reported_errors, show


def latency(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Exported network, format torch: a file or its folder.")],
    images: Annotated[list[Path], typer.Argument(metavar="IMAGES...", help="Pictures, or folders of pictures.")],
    batch_sizes: Annotated[str, typer.Option(help="Images run together, separated by commas.")] = "1,64",
    batches: Annotated[int, typer.Option(min=1, help="Batches timed of each variant.")] = 100,
    threads: Annotated[int, typer.Option(min=1, help="Threads of PyTorch and of onnxruntime.")] = 1,
    out: Annotated[Path | None, typer.Option(help="CSV file to write.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Time an exported network on real pictures: early exits beside none, in PyTorch and, if it is there, ONNX."""
    with reported_errors(as_json, quiet=False):
        from aebnas_bo.deploy.latency_measurement import Workload, measure_file, parse_batch_sizes
        from aebnas_bo.deploy.trained_table import latency_table, write_latency_csv
        from aebnas_bo.preparation.latency_preparation import make_folder_of

        sizes = parse_batch_sizes(batch_sizes)
        if out is not None:
            make_folder_of(out)
        rows = measure_file(file, images, Workload(sizes, batches, threads))
        if out is not None:
            write_latency_csv(out, rows)
        document = {"latencies": [asdict(row) for row in rows]}
        show(document, lambda stdout: stdout.print(latency_table(rows)), as_json=as_json)


def latency_table(
    config: Annotated[Path, typer.Argument(metavar="CONFIG", help="YAML file with the space.")],
    out: Annotated[Path, typer.Option(help="JSON file to write, for estimation.latency_table.")],
    settings: SettingsOption = None,
    device: DeviceOption = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Time every part of a space's networks on this machine, for searches with latency_ms among their objectives."""
    with reported_errors(as_json, quiet, way_on="The same command starts over.") as command:
        from aebnas_bo.config.loading import load_config
        from aebnas_bo.preparation.latency_preparation import make_folder_of, measure_table, write_table
        from aebnas_bo.preparation.problem import Problem
        from aebnas_bo.preparation.progress import RunProgress

        loaded = load_config(config, all_settings(settings, {"device": device}))
        make_folder_of(out)
        problem = Problem.load(loaded)
        with RunProgress(command.stderr, quiet, command.stop.check) as progress:
            table = measure_table(problem, progress)
        write_table(out, table)
        text = f"{len(table.nanoseconds)} parts timed on {table.machine}, {table.device}, {table.num_threads} threads"
        show(
            {"table": str(out), "parts": len(table.nanoseconds)},
            lambda stdout: stdout.print(f"{text}: {out}", highlight=False, soft_wrap=True),
            as_json=as_json,
        )
