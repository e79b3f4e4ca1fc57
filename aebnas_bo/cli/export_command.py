"""`aebnas-bo export`: write a trained network to files."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from aebnas_bo.cli.options import (
    JsonOption,
    QuietOption,
    RunArgument,
    SelectOption,
    read_path,
)
from aebnas_bo.cli.reporting import reported_errors, show


def export(
    run: RunArgument,
    selection: SelectOption = "knee",
    formats: Annotated[
        list[str] | None,
        typer.Option("--format", help="torch, onnx, onnx-segments or torch-export; repeatable. By default torch."),
    ] = None,
    seed: Annotated[int | None, typer.Option(min=0, help="Seed of the training; by default the best one.")] = None,
    recipe: Annotated[
        str | None, typer.Option(help="Recipe of the training, as train prints it; by default the best one.")
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            parser=read_path,
            metavar="PATH",
            help="Output folder with a folder per format; by default RUN/exported/NAME, NAME as in RUN/trained.",
        ),
    ] = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Export a trained network to files that do not need the run folder."""
    with reported_errors(as_json, quiet) as command:
        from aebnas_bo.analysis.selection import parse_selection
        from aebnas_bo.analysis.stored_choice import stored_choice
        from aebnas_bo.deploy.export_formats import check_formats
        from aebnas_bo.deploy.stored_trainings import check_is_trained
        from aebnas_bo.storage.run_folder import RunFolder, check_folder

        wanted, chosen = check_formats(formats or ["torch"]), parse_selection(selection)
        if out is not None:
            check_folder(out)
        folder = RunFolder(run)
        check_is_trained(folder, chosen, stored_choice(folder, chosen), seed=seed, recipe=recipe)

        from aebnas_bo.deploy.export import export_network, trained_network

        source = trained_network(folder, chosen, seed, recipe=recipe)
        target = out or folder.path / "exported" / source.parent.name
        written = {name: str(export_network(source, name, target / name, check=command.stop.check)) for name in wanted}

        def draw(stdout: Console) -> None:
            for name, path in written.items():
                stdout.print(f"{name}: {path}", highlight=False, soft_wrap=True)

        show({"network": str(source), "exported": written}, draw, as_json=as_json)
