"""Options shared by several commands, and the settings they set."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Literal

import typer

from aebnas_bo.storage.shared_study import is_database_url

LONGEST_NAME, LONGEST_PATH = 255, 4095  # bytes of a file name and of a path, on nearly all systems


def read_path(text: str) -> Path:
    """Return a path from the command line, with `~` expanded: shells leave it as it is in `--out=~/run`.

    Raises:
        BadParameter: If no file can have this path, or it is empty, as that of an unset variable is.
    """
    if not text.strip():
        raise typer.BadParameter("is empty; give a path (. is the current folder)")
    data = os.fsencode(text)
    if b"\0" in data or len(data) > LONGEST_PATH or any(len(name) > LONGEST_NAME for name in data.split(b"/")):
        raise typer.BadParameter(
            f"expected a path of at most {LONGEST_PATH} bytes and names of at most {LONGEST_NAME}, without NUL"
        )
    try:
        return Path(text).expanduser()
    except RuntimeError:
        raise typer.BadParameter("~ cannot be expanded without a home folder; give the full path") from None


def read_run_path(text: str) -> Path:
    """Return the path of a run folder.

    Raises:
        BadParameter: If it is the URL of a database, or no file can have this path.
    """
    if is_database_url(text):
        raise typer.BadParameter("is the URL of a database; give the run folder, which names the study in it")
    return read_path(text)


SettingsOption = Annotated[
    list[str] | None, typer.Option("--set", metavar="SECTION.KEY=VALUE", help="Change one setting; repeatable.")
]
BudgetOption = Annotated[int | None, typer.Option(min=1, help="Number of trials, including the initial design.")]
MaxMacsOption = Annotated[float | None, typer.Option(min=0.0, help="Upper limit of average MACs in millions.")]
MinAccuracyOption = Annotated[
    float | None, typer.Option(min=0.0, max=100.0, help="Lower limit of accuracy in percent.")
]
MaxLatencyOption = Annotated[
    float | None, typer.Option(min=0.0, help="Upper limit of average milliseconds per image; latency is then measured.")
]
TimeOption = Annotated[
    str | None,
    typer.Option(
        "--time-budget",
        metavar="TIME",
        help="Total time, such as 30m or 2h, for the search and the full training of the best networks.",
    ),
]
RayOption = Annotated[
    str | None,
    typer.Option(
        "--ray",
        metavar="ADDRESS",
        help="Evaluate trials on a Ray cluster: auto (of this machine), local (start one here) or HOST:PORT.",
    ),
]
WorkersOption = Annotated[int | None, typer.Option(min=1, help="Number of workers on the Ray cluster.")]
DeviceOption = Annotated[Literal["cpu", "cuda", "auto"] | None, typer.Option(help="Device to run networks on.")]
TrackOption = Annotated[
    list[str] | None,
    typer.Option("--track", metavar="NAME", help="Tracker of figures while it runs: tensorboard, mlflow; repeatable."),
]
ProcessesOption = Annotated[
    int | None,
    typer.Option(min=1, metavar="N", help="Processes that train together, each on its share of every batch."),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON document to stdout, and logs to stderr.")]
QuietOption = Annotated[bool, typer.Option("--quiet", help="Print only the result, without progress.")]
ResumeOption = Annotated[bool, typer.Option("--resume", help="Resume the study in the folder, which must hold one.")]
StartOption = Annotated[
    bool, typer.Option("--resume-or-start", help="Resume the study in the folder, or start one there.")
]
TrustOption = Annotated[
    bool,
    typer.Option(
        "--trust",
        help="Import the Python module that the file of a network on a given backbone may name; it can run any code.",
    ),
]
RunArgument = Annotated[Path, typer.Argument(parser=read_run_path, metavar="RUN", help="Folder of a search.")]
SelectOption = Annotated[
    str,
    typer.Option(
        "--select",
        help="knee, best-accuracy, macs<=X (millions), latency<=X (milliseconds), accuracy>=Y (percent) or a network's "
        "key.",
    ),
]


def limit_flags(
    *,
    budget: int | None,
    max_average_macs: float | None,
    min_accuracy: float | None,
    max_latency_ms: float | None = None,
) -> dict[str, float | None]:
    """Return the settings for the flags of budget and limits."""
    return {
        "search.budget": budget,
        "search.max_average_macs": max_average_macs,
        "search.min_accuracy": min_accuracy,
        "search.max_latency_ms": max_latency_ms,
    }


def execution_flags(ray: str | None, workers: int | None) -> dict[str, object]:
    """Return the settings for the flags of workers."""
    address = None if ray is None else json.dumps(ray)
    return {
        "execution.engine": None if ray is None else "ray",
        "execution.address": address,
        "execution.workers": workers,
    }


def track_flag(trackers: Sequence[str] | None) -> dict[str, str]:
    """Return the setting for the trackers that were named; empty without any."""
    return {"tracking.trackers": json.dumps(list(trackers))} if trackers else {}


def all_settings(settings: Sequence[str] | None, flags: Mapping[str, object]) -> list[str]:
    """Return the settings given by `--set`, followed by those given by their own flags."""
    return [*(settings or []), *(f"{name}={value}" for name, value in flags.items() if value is not None)]
