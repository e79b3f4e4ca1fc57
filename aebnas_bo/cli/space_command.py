"""`aebnas-bo space`: describe a search space, or print a preset as a template."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, get_args

import typer

from aebnas_bo.cli.options import MaxMacsOption, read_path
from aebnas_bo.cli.reporting import reported_errors, terminal
from aebnas_bo.cli.standard_streams import write_stdout
from aebnas_bo.errors import UsageError
from aebnas_bo.space.presets import AUTO, PresetName


def space(
    file: Annotated[
        Path | None,
        typer.Argument(
            parser=read_path,
            metavar="FILE",
            help="YAML file: a space of your own, or a configuration; by default the embedded one.",
        ),
    ] = None,
    show: Annotated[
        PresetName | None,
        typer.Option(help="Print this preset with comments, as a template."),
    ] = None,
    image_size: Annotated[
        int | None, typer.Option(min=4, max=512, help="With --show auto: side of the images in pixels.")
    ] = None,
    max_average_macs: MaxMacsOption = None,
    parameters: Annotated[bool, typer.Option("--parameters", help="Also list every parameter of the search.")] = False,
) -> None:
    """Describe a search space: its size, its cheapest and most expensive networks, and its problems.

    To declare one of your own: `aebnas-bo space --show cifar32 > mine.yaml`, change the file, check it with
    `aebnas-bo space mine.yaml`, and write `space: mine.yaml` into your configuration.
    """
    with reported_errors(as_json=False, quiet=False):
        if file is not None and str(file) in get_args(PresetName) and not file.exists():
            options = f"{file} --image-size PIXELS" if str(file) == AUTO else str(file)
            raise UsageError(
                f"{file} is a preset, not a file; run aebnas-bo space --show {options} > {file}.yaml, then "
                f"aebnas-bo space {file}.yaml"
            )
        if show != AUTO and (image_size, max_average_macs) != (None, None):
            raise UsageError("--image-size and --max-average-macs go with --show auto, the preset that depends on them")
        if show is not None:
            from aebnas_bo.cli.space_preset import preset_text

            write_stdout(preset_text(show, file, image_size=image_size, max_average_macs=max_average_macs))
        else:
            from aebnas_bo.cli.space_description import describe_space, print_description

            print_description(terminal(), describe_space(file, lists_parameters=parameters))
