"""Options that several commands share, and the settings they stand for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Literal

import typer

SettingsOption = Annotated[
    list[str] | None, typer.Option("--set", metavar="SECTION.KEY=VALUE", help="Change one setting; repeatable.")
]
BudgetOption = Annotated[int | None, typer.Option(min=1, help="Evaluated trials, the first design included.")]
MaxMacsOption = Annotated[
    float | None, typer.Option(min=0.0, help="Most average MACs, in millions, of an admissible network.")
]
MinAccuracyOption = Annotated[
    float | None, typer.Option(min=0.0, max=100.0, help="Least accuracy, in percent, of an admissible network.")
]
MaxLatencyOption = Annotated[
    float | None, typer.Option(min=0.0, help="Most average milliseconds, where latency_ms is an objective.")
]
TimeOption = Annotated[
    str | None,
    typer.Option(
        "--time-budget",
        metavar="TIME",
        help="Time for everything, such as 30m or 2h: search, then train the best networks to the end.",
    ),
]
DeviceOption = Annotated[Literal["cpu", "cuda", "auto"] | None, typer.Option(help="Where networks run.")]
JsonOption = Annotated[bool, typer.Option("--json", help="One JSON document on stdout, logs on stderr.")]
QuietOption = Annotated[bool, typer.Option("--quiet", help="No progress, only the result.")]
ResumeOption = Annotated[
    bool, typer.Option("--resume", help="Go on with the study in the folder, which must hold one.")
]
StartOption = Annotated[
    bool, typer.Option("--resume-or-start", help="Go on with the study in the folder, or begin one there.")
]
RunArgument = Annotated[Path, typer.Argument(metavar="RUN", help="Folder of a search.")]
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
    """Return the settings that the flags of budget and limits stand for."""
    return {
        "search.budget": budget,
        "search.max_average_macs": max_average_macs,
        "search.min_accuracy": min_accuracy,
        "search.max_latency_ms": max_latency_ms,
    }


def all_settings(settings: Sequence[str] | None, flags: Mapping[str, object]) -> list[str]:
    """Return what `--set` said, followed by the settings whose own flag was given."""
    return [*(settings or []), *(f"{name}={value}" for name, value in flags.items() if value is not None)]
