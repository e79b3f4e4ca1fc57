"""`aebnas-bo latency` and `latency-table`: measure latencies of networks and their parts on this machine."""

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
    TrustOption,
    all_settings,
    read_path,
)
from aebnas_bo.cli.reporting import reported_errors, show


def latency(
    file: Annotated[
        Path, typer.Argument(parser=read_path, metavar="FILE", help="Network exported as torch: a file or its folder.")
    ],
    images: Annotated[
        list[Path], typer.Argument(parser=read_path, metavar="IMAGES...", help="Pictures, or folders of pictures.")
    ],
    batch_sizes: Annotated[str, typer.Option(help="Batch sizes, separated by commas.")] = "1,64",
    batches: Annotated[int, typer.Option(min=1, help="Batches to time per variant.")] = 100,
    threads: Annotated[int, typer.Option(min=1, max=256, help="Threads of PyTorch and of onnxruntime.")] = 1,
    out: Annotated[Path | None, typer.Option(parser=read_path, metavar="PATH", help="CSV file to write.")] = None,
    trust: TrustOption = False,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Time an exported network on real pictures, with and without early exits, in PyTorch and ONNX (if installed)."""
    with reported_errors(as_json, quiet) as command:
        from aebnas_bo.deploy.batch_sizes_option import parse_batch_sizes
        from aebnas_bo.deploy.exported_files import file_of_weights, picture_files
        from aebnas_bo.storage.run_folder import make_folder_of

        sizes = parse_batch_sizes(batch_sizes)
        file_of_weights(file)
        files = picture_files(images)
        if out is not None:
            make_folder_of(out)

        from aebnas_bo.analysis.table_layout import print_table
        from aebnas_bo.deploy.latency_measurement import Workload, measure_file
        from aebnas_bo.deploy.trained_table import latency_table, write_latency_csv

        workload = Workload(sizes, batches, threads)
        with command.progress() as progress:
            rows = measure_file(file, files, workload, progress=progress, trust=trust)
        if out is not None:
            write_latency_csv(out, rows)
        document = {"latencies": [asdict(row) for row in rows]}
        show(document, lambda stdout: print_table(stdout, latency_table(rows)), as_json=as_json)


def latency_table(
    config: Annotated[Path, typer.Argument(parser=read_path, metavar="CONFIG", help="YAML file with the space.")],
    out: Annotated[
        Path, typer.Option(parser=read_path, metavar="PATH", help="JSON file to write, for estimation.latency_table.")
    ],
    settings: SettingsOption = None,
    device: DeviceOption = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Time every part of a space's networks on this machine, for searches with the objective latency_ms."""
    with reported_errors(as_json, quiet) as command:
        from aebnas_bo.config.loading import load_config
        from aebnas_bo.storage.count_text import counted
        from aebnas_bo.storage.run_folder import make_folder_of

        loaded = load_config(config, all_settings(settings, {"device": device}))
        make_folder_of(out)

        from aebnas_bo.preparation.latency_preparation import measure_table, write_table
        from aebnas_bo.preparation.problem import Problem

        problem = Problem.load(loaded)
        with command.progress() as progress:
            table = measure_table(problem, progress)
        write_table(out, table)
        parts, threads = counted(len(table.nanoseconds), "part"), counted(table.num_threads, "thread")
        text = f"{parts} timed on {table.machine}, {table.device}, {threads}"
        show(
            {"table": str(out), "parts": len(table.nanoseconds)},
            lambda stdout: stdout.print(f"{text}: {out}", highlight=False, soft_wrap=True),
            as_json=as_json,
        )
