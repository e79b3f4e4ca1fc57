"""What a fidelity study leaves in its folder: raw rows, figures as JSON, a scatter plot, a table for the terminal."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from rich.table import Table

from aebnas_bo.analysis.plots import DPI, FRONT, INK, style_axes
from aebnas_bo.analysis.tables import write_csv, write_text
from aebnas_bo.atomic_writing import replacing
from aebnas_bo.fidelity.comparison import Comparison
from aebnas_bo.fidelity.statistics import Agreement, Interval

EXIT_COLOURS = ("#9aa5b1", "#5b8db8", "#2f5d8a", "#7a9e3f", "#b58900", "#8a4f7d", "#4d4d4d")
COST_TICKS = tuple(mantissa * 10.0**exponent for exponent in range(-4, 5) for mantissa in (1, 2, 5))
TITLES = {"accuracy": "whole network", "average_macs": "average MACs", "final": "final exit"}


def write_rows(path: Path, comparisons: Sequence[Comparison], quantities: Sequence[str], names: Sequence[str]) -> None:
    """Write one CSV row per network: both values of every quantity it has, then its parameters and thresholds.

    Args:
        path: The file.
        comparisons: The networks.
        quantities: Columns `QUANTITY_estimate` and `QUANTITY_alone`; accuracies in percent, MACs in millions.
        names: Names of the parameters.
    """
    header = ["network", "key", "macs"]
    for quantity in quantities:
        header += [f"{quantity}_estimate", f"{quantity}_alone"]
    rows = []
    for number, comparison in enumerate(comparisons):
        row: list[object] = [number, comparison.key, comparison.macs]
        for quantity in quantities:
            row += [comparison.estimates.get(quantity), comparison.alone.get(quantity)]
        rows.append([*row, *(comparison.point[name] for name in names)])
    write_csv(path, [*header, *names], rows)


def write_agreements(path: Path, found: Sequence[Agreement], facts: dict[str, object]) -> None:
    """Write all agreements, and what else there is to say of the study, as JSON."""
    document = {**facts, "agreements": [asdict(entry) for entry in found]}
    write_text(path, json.dumps(document, indent=2, allow_nan=False) + "\n")


def agreement_table(found: Sequence[Agreement]) -> Table:
    """Return the agreements as a table for the terminal."""
    table = Table(title="Estimates against networks trained alone (95 % bootstrap intervals)", title_justify="left")
    lists = sorted({k for entry in found for k in entry.top_k_regret})
    regrets = [f"top-{k} regret" for k in lists]
    for column in ("of", "networks", "Kendall tau", "Spearman rho", "Pearson r", *regrets):
        table.add_column(column, justify="left" if column == "of" else "right")
    for entry in found:
        cells = [_text(i) for i in (entry.kendall_tau, entry.spearman_rho, entry.pearson_r)]
        cells += [_text(entry.top_k_regret[k]) if k in entry.top_k_regret else "" for k in lists]
        table.add_row(TITLES.get(entry.quantity, entry.quantity), str(entry.num_networks), *cells)
    return table


def plot_fidelity(path: Path, comparisons: Sequence[Comparison], found: Sequence[Agreement]) -> None:
    """Draw estimates against networks trained alone: the whole network left, every output right.

    Args:
        path: PNG file to write.
        comparisons: The networks.
        found: Their agreements, named in the figure.
    """
    figure = Figure(figsize=(11.0, 5.0), dpi=DPI, layout="constrained")
    FigureCanvasAgg(figure)
    whole, outputs = figure.subplots(1, 2)
    by_quantity = {entry.quantity: entry for entry in found}
    points = whole.scatter(
        [c.estimates["accuracy"] for c in comparisons], [c.alone["accuracy"] for c in comparisons],
        c=[c.macs for c in comparisons], norm=LogNorm(), cmap="viridis_r", s=42, linewidths=0.5, edgecolors="white",
        zorder=3,
    )  # fmt: skip
    macs = sorted(c.macs for c in comparisons)
    ticks = [tick for tick in COST_TICKS if macs[0] <= tick <= macs[-1]]
    bar = figure.colorbar(points, ax=whole, pad=0.015, aspect=40, ticks=ticks, format="%g")
    bar.ax.minorticks_off()
    bar.set_label("MACs to the last exit (millions)", color=INK)
    bar.outline.set_visible(False)
    _finish(whole, "Whole network, at its thresholds", by_quantity.get("accuracy"))
    names = [quantity for quantity in by_quantity if quantity not in {"accuracy", "average_macs", "final"}]
    colours = [EXIT_COLOURS[position % len(EXIT_COLOURS)] for position in range(len(names))]
    for name, colour in zip([*names, "final"], [*colours, FRONT], strict=True):
        having = [c for c in comparisons if name in c.estimates]
        entry = by_quantity.get(name)
        tau = f", tau {entry.kendall_tau.value:.2f}" if entry else ""
        outputs.scatter(
            [c.estimates[name] for c in having], [c.alone[name] for c in having],
            s=26, color=colour, alpha=0.85, linewidths=0, label=f"{TITLES.get(name, name)}{tau}", zorder=3,
        )  # fmt: skip
    outputs.legend(loc="lower right", frameon=False, fontsize=9)
    _finish(outputs, "Each output by itself", None)
    with replacing(path) as temporary:
        figure.savefig(temporary, format="png")


def _finish(axes: Axes, title: str, entry: Agreement | None) -> None:
    style_axes(axes)
    low = max(axes.get_xlim()[0], axes.get_ylim()[0])
    high = min(axes.get_xlim()[1], axes.get_ylim()[1])
    if high > low:
        axes.plot([low, high], [low, high], color="#c3cad1", linewidth=1, linestyle="--", zorder=1)
        middle = (low + high) / 2.0
        axes.annotate(
            "equal", (middle, middle), (4, -4), textcoords="offset points", va="top", color="#8a949e", fontsize=9
        )
    axes.set_title(title, loc="left", color=INK, fontweight="bold")
    axes.set_xlabel("Estimate with shared weights (accuracy, %)")
    axes.set_ylabel("Trained alone (accuracy, %)")
    if entry is not None:
        tau = entry.kendall_tau
        text = f"Kendall tau {tau.value:.2f}\n95 % interval {tau.low:.2f} to {tau.high:.2f}"
        axes.text(0.03, 0.97, text, transform=axes.transAxes, va="top", color=FRONT)


def _text(interval: Interval) -> str:
    return f"{interval.value:.2f} [{interval.low:.2f}, {interval.high:.2f}]"
