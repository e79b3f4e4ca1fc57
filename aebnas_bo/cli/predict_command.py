"""`aebnas-bo predict`: classify pictures with an exported network."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from aebnas_bo.cli.options import (
    JsonOption,
    TrustOption,
    read_path,
)
from aebnas_bo.cli.reporting import reported_errors, show


def predict(
    file: Annotated[
        Path, typer.Argument(parser=read_path, metavar="FILE", help="Exported network: a file or its folder.")
    ],
    images: Annotated[
        list[Path], typer.Argument(parser=read_path, metavar="IMAGES...", help="Pictures, or folders of pictures.")
    ],
    device: Annotated[Literal["cpu", "cuda"], typer.Option(help="Device of a .safetensors network.")] = "cpu",
    trust: TrustOption = False,
    as_json: JsonOption = False,
) -> None:
    """Classify pictures with an exported network."""
    with reported_errors(as_json, quiet=False):
        from aebnas_bo.deploy.exported_files import network_file, picture_files

        network_file(file)
        files = picture_files(images)

        from aebnas_bo.analysis.table_layout import print_table
        from aebnas_bo.deploy.prediction import prediction_rows, prediction_table
        from aebnas_bo.deploy.runtime import load

        network = load(file, device, trust=trust)
        rows = prediction_rows(network, files)
        document = {"network": network.description.key, "predictions": rows}
        show(document, lambda stdout: print_table(stdout, prediction_table(network, rows)), as_json=as_json)
