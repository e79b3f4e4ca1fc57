"""Names of export formats, without importing PyTorch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, get_args

from aebnas_bo.errors import UsageError

Format = Literal["torch", "onnx", "onnx-segments", "torch-export"]
FORMATS: tuple[Format, ...] = get_args(Format)
LONGEST = 80  # characters of an option that are echoed


def check_formats(names: Sequence[str]) -> list[Format]:
    """Check names of formats and return them without duplicates.

    Raises:
        UsageError: If a format is unknown.
    """
    known: dict[str, Format] = {name: name for name in FORMATS}
    unknown = [name for name in names if name not in known]
    if unknown:
        raise UsageError(f"--format {unknown[0][:LONGEST]}: no such format; expected one of {', '.join(FORMATS)}")
    return [known[name] for name in dict.fromkeys(names)]
