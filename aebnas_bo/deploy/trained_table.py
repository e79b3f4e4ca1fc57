"""Tables of trained networks, for the terminal and as CSV."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from dataclasses import fields
from pathlib import Path

from rich.table import Table

from aebnas_bo.analysis.tables import write_csv
from aebnas_bo.deploy.description import NetworkDescription
from aebnas_bo.deploy.latency_measurement import FORCED, PLAIN, Latency
from aebnas_bo.space.macs import millions
from aebnas_bo.storage.count_text import counted

Column = tuple[str, Callable[[NetworkDescription], float | None], int]
COLUMNS: tuple[Column, ...] = (
    ("estimate (%)", lambda network: network.estimated_accuracy, 2),
    ("validation (%)", lambda network: network.validation.accuracy, 2),
    ("test (%)", lambda network: network.test.accuracy, 2),
    ("average MACs (M)", lambda network: network.test.average_macs, 4),
    ("without earlier branches (M)", lambda network: network.test.average_macs_without_passed, 4),
    ("worst case (M)", lambda network: network.test.worst_case_macs, 4),
)


def training_table(networks: Sequence[NetworkDescription], plain: Sequence[NetworkDescription] = ()) -> Table:
    """Return a table with a row per trained network and, for several, a row of means with standard deviations.

    A column without figures is left out, such as that of estimates after a brief search.

    Args:
        networks: One architecture, trained by one recipe with one or more seeds.
        plain: Plain networks to show below.
    """
    origin = networks[0].origin
    title = f"Network {networks[0].key}, trained for {counted(origin.epochs, 'epoch')} (recipe {origin.recipe})"
    table = Table(title=title, title_justify="left")
    table.add_column("seed", justify="right")
    columns = [one for one in COLUMNS if any(one[1](network) is not None for network in networks)]
    for name, _, _ in columns:
        table.add_column(name, justify="right")
    for name, group in (("", networks), ("plain network, ", plain)):
        for network in group:
            table.add_row(f"{name}{network.origin.seed}", *(_cell([network], column) for column in columns))
        table.add_section()
        if len(group) > 1:
            table.add_row(f"{name}mean", *(_cell(group, column) for column in columns))
            table.add_section()
    return table


def _cell(networks: Sequence[NetworkDescription], column: Column) -> str:
    """Format the figure of one network, or mean and standard deviation of several."""
    _, value_of, digits = column
    values = [value for network in networks if (value := value_of(network)) is not None]
    if not values:
        return "–"
    spread = f" ± {statistics.stdev(values):.{digits}f}" if len(values) > 1 else ""
    return f"{statistics.mean(values):.{digits}f}{spread}"


def other_recipes(networks: Sequence[NetworkDescription], recipe: str) -> list[str]:
    """Return a line with validation accuracies for each other recipe that a network was trained by.

    Args:
        networks: All trainings of one architecture.
        recipe: The recipe that is shown in full.
    """
    groups: dict[str, list[NetworkDescription]] = {}
    for network in networks:
        groups.setdefault(network.origin.recipe, []).append(network)
    return [
        f"also trained by recipe {name or '– (earlier version)'}, {counted(group[0].origin.epochs, 'epoch')}: "
        + ", ".join(f"seed {one.origin.seed} {one.validation.accuracy:.2f} %" for one in group)
        + " of the validation images"
        for name, group in groups.items()
        if name != recipe
    ]


def outputs_table(network: NetworkDescription) -> Table:
    """Return a table with a row per output of a network: cost and accuracy on the test images."""
    table = Table(title=f"Its outputs on {counted(network.test.images, 'test image')}, seed {network.origin.seed}")
    table.title_justify = "left"
    table.add_column("output")
    for name in ("threshold", "MACs (M)", "exit rate (%)", "accuracy, all (%)", "accuracy, leaving (%)", "ECE (%)"):
        table.add_column(name, justify="right")
    for output, figures in zip(network.outputs, network.test.outputs, strict=True):
        leaving = "–" if figures.accuracy_of_leaving is None else f"{figures.accuracy_of_leaving:.2f}"
        table.add_row(
            output.title,
            "–" if output.threshold is None else f"{output.threshold:.4f}",
            f"{millions(output.macs):.4f}",
            f"{100 * figures.exit_rate:.1f}",
            f"{figures.accuracy:.2f}",
            leaving,
            f"{figures.calibration_error:.2f}",
        )
    return table


def write_outputs_csv(path: Path, networks: Sequence[NetworkDescription]) -> None:
    """Write a row per network and output, with all figures on validation and test images."""
    header = [
        "key", "seed", "recipe", "epochs", "split", "images", "accuracy", "accuracy_sem", "average_macs",
        "average_macs_without_passed", "worst_case_macs", "output", "threshold", "temperature", "weights", "macs",
        "exit_rate", "output_accuracy", "accuracy_of_leaving", "calibration_error", "earlier_test_looks",
    ]  # fmt: skip
    rows = [
        [network.key, network.origin.seed, network.origin.recipe, network.origin.epochs, split, figures.images,
         figures.accuracy, figures.accuracy_sem, figures.average_macs, figures.average_macs_without_passed,
         figures.worst_case_macs, output.name, output.threshold, output.temperature,
         " ".join(f"{weight:.6g}" for weight in output.weights), output.macs, of_output.exit_rate, of_output.accuracy,
         of_output.accuracy_of_leaving, of_output.calibration_error, network.earlier_test_looks]
        for network in networks
        for split, figures in (("validation", network.validation), ("test", network.test))
        for output, of_output in zip(network.outputs, figures.outputs, strict=True)
    ]  # fmt: skip
    write_csv(path, header, rows)


def latency_table(rows: Sequence[Latency]) -> Table:
    """Return a table of latencies with the savings of early exits in time and MACs."""
    table = Table(title="Milliseconds per batch of real images", title_justify="left")
    for name in ("runtime", "batch", "variant"):
        table.add_column(name, justify="right" if name == "batch" else "left")
    for name in ("time saved (%)", "MACs saved (%)", "p50", "p95", "MACs per image (M)", "time saved, forced (%)"):
        table.add_column(name, justify="right")
    for runtime, batch_size in dict.fromkeys((row.runtime, row.batch_size) for row in rows):
        group = {row.variant: row for row in rows if (row.runtime, row.batch_size) == (runtime, batch_size)}
        plain, forced = group[PLAIN], group[FORCED]
        for variant in sorted(group, key=lambda name: name != PLAIN):
            row = group[variant]
            table.add_row(
                runtime, str(batch_size), variant,
                "–" if row is plain else _share(row.p50_ms, plain.p50_ms),
                "–" if row is plain else _share(row.average_macs, plain.average_macs),
                f"{row.p50_ms:.3f}", f"{row.p95_ms:.3f}", f"{row.average_macs:.4g}",
                "–" if row in (plain, forced) else _share(row.p50_ms, forced.p50_ms),
            )  # fmt: skip
        table.add_section()
    table.caption = (
        "saved: relative to the same network without exits, median time and MACs; forced: relative to the early-exit "
        "network with every image sent to its last exit"
    )
    table.caption_justify = "left"
    return table


def _share(value: float, of: float) -> str:
    """Return the saving relative to a value in percent; negative for an increase."""
    return f"{100 * (1.0 - value / of):.0f}"


def write_latency_csv(path: Path, rows: Sequence[Latency]) -> None:
    """Write a row per runtime, batch size and variant."""
    header = [field.name for field in fields(Latency)]
    write_csv(path, header, [[getattr(row, name) for name in header] for row in rows])
