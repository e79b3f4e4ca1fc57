"""Files of a fidelity study (raw rows, statistics as JSON, a scatter plot) and its tables for the terminal."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from rich import box
from rich.table import Table

from aebnas_bo.analysis.plots import DPI, FRONT, INK, save_figure, style_axes
from aebnas_bo.analysis.tables import write_csv
from aebnas_bo.errors import CorruptStateError
from aebnas_bo.experiments.rank_correlation.agreement import Comparison
from aebnas_bo.experiments.rank_correlation.statistics import Agreement
from aebnas_bo.experiments.rank_correlation.verdict import interval_text, verdict
from aebnas_bo.space.search_space import ParameterValue
from aebnas_bo.storage.atomic_files import write_text
from aebnas_bo.storage.regular_files import read_regular

EXIT_COLOURS = ("#9aa5b1", "#5b8db8", "#2f5d8a", "#7a9e3f", "#b58900", "#8a4f7d", "#4d4d4d")
COST_TICKS = tuple(mantissa * 10.0**exponent for exponent in range(-4, 5) for mantissa in (1, 2, 5))
MOST_BYTES = 1 << 28
WAY_OUT = "give what a finished study wrote"
WHOLE = ("accuracy", "average_macs")  # of the whole network, all other quantities of one output
TITLES = {"accuracy": "whole network", "average_macs": "average MACs", "final": "final exit"}


def write_rows(
    path: Path, comparisons: Sequence[Comparison], *, quantities: Sequence[str], names: Sequence[str]
) -> None:
    """Write one CSV row per network, from which all statistics can be computed again.

    Args:
        path: The file.
        comparisons: The networks.
        quantities: Columns `QUANTITY_estimate` and `QUANTITY_alone`, accuracies in percent, MACs in millions, and
            of each output `OUTPUT_macs`, the MACs of leaving there; empty where a network does not have it. `alone` is
            the mean over trainings; several trainings are the columns `QUANTITY_training1` and so on.
        names: Names of the parameters and thresholds, the last columns.
    """
    header, repeats = ["network", "key"], len(comparisons[0].trainings)
    for quantity in quantities:
        header += [f"{quantity}_{column}" for column in _columns(quantity, repeats)]
    rows = []
    for number, comparison in enumerate(comparisons):
        row: list[object] = [number, comparison.key]
        for quantity in quantities:
            sides = {"estimate": comparison.estimates, "alone": comparison.alone, "macs": comparison.macs}
            sides |= {f"training{number}": one for number, one in enumerate(comparison.trainings, start=1)}
            row += [sides[column].get(quantity) for column in _columns(quantity, repeats)]
        rows.append([*row, *(comparison.point[name] for name in names)])
    write_csv(path, [*header, *names], rows)


def read_rows(path: Path) -> tuple[list[Comparison], tuple[str, ...]]:
    """Read what `write_rows` wrote.

    Returns:
        The networks, and all quantities.

    Raises:
        CorruptStateError: If the file cannot be read or lacks a column.
    """
    try:
        text = read_regular(path, MOST_BYTES).decode("utf-8")
        rows = list(csv.DictReader(io.StringIO(text, newline="")))
        quantities = tuple(column.removesuffix("_alone") for column in rows[0] if column.endswith("_alone"))
        repeats = sum(column.startswith(f"{quantities[0]}_training") for column in rows[0]) or 1
        return [_comparison(row, quantities, repeats=repeats) for row in rows], quantities
    except OSError as error:
        raise CorruptStateError(f"{path} cannot be read ({error.strerror}); {WAY_OUT}") from error
    except (KeyError, IndexError, ValueError) as error:
        raise CorruptStateError(f"{path}: holds no rows of a study ({error!r}); {WAY_OUT}") from error


def _comparison(row: dict[str, str], quantities: Sequence[str], *, repeats: int) -> Comparison:
    having = [quantity for quantity in quantities if row[f"{quantity}_alone"]]
    measured = {f"{quantity}_{column}" for quantity in quantities for column in _columns(quantity, repeats)}

    def values(column: str) -> dict[str, float]:
        return {q: float(row[f"{q}_{column}"]) for q in having if column in _columns(q, repeats)}

    point = {name: _value(text) for name, text in row.items() if name not in {"network", "key", *measured}}
    trainings = [f"training{number}" for number in range(1, repeats + 1)] if repeats > 1 else ["alone"]
    return Comparison(point, row["key"], values("macs"), values("estimate"), tuple(map(values, trainings)))


def _columns(quantity: str, repeats: int) -> tuple[str, ...]:
    each = tuple(f"training{number}" for number in range(1, repeats + 1)) if repeats > 1 else ()
    return ("estimate", "alone", *(() if quantity in WHOLE else ("macs",)), *each)


def _value(text: str) -> ParameterValue:
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def write_agreements(path: Path, found: Sequence[Agreement], facts: Mapping[str, object]) -> None:
    """Write all agreements, the verdict and the study's other figures as JSON."""
    document = {**facts, "verdict": verdict(found), "agreements": [asdict(entry) for entry in found]}
    write_text(path, json.dumps(document, indent=2, allow_nan=False) + "\n")


def tau_table(found: Sequence[Agreement]) -> Table:
    """Return Kendall taus of estimates and of MACs alone as a table for the terminal, at most 98 columns wide."""
    table = _table("Kendall tau with networks trained alone (95 % bootstrap intervals)")
    table.caption = "partial: of the residuals after a quadratic in log MACs"
    for column in ("n", "estimates", "MACs alone", "difference", "partial"):
        table.add_column(column, justify="right")
    trainings = [
        f"{TITLES.get(entry.quantity, entry.quantity)} {entry.between_trainings.value:.2f}"
        for entry in found
        if entry.between_trainings is not None
    ]
    if trainings:
        table.caption = f"{table.caption}\none training with another: {', '.join(trainings)}"
    for entry in found:
        cells = [interval_text(entry.kendall_tau), "", "", ""]
        against = entry.against_macs
        if against is not None:
            partial = against.partial_kendall_tau
            cells[1:] = [
                interval_text(against.kendall_tau),
                interval_text(against.gain, is_signed=True),
                interval_text(partial) if partial is not None else "",
            ]
        table.add_row(TITLES.get(entry.quantity, entry.quantity), str(entry.num_networks), *cells)
    return table


def correlation_table(found: Sequence[Agreement]) -> Table:
    """Return the other correlations and the regret of choosing by estimates, as a table for the terminal."""
    table = _table("Other correlations; regret in points (intervals: fidelity.json)")
    lists = sorted({k for entry in found for k in entry.top_k_regret})
    for column in ("Spearman rho", "Pearson r", *(f"top-{k} regret" for k in lists)):
        table.add_column(column, justify="right")
    for entry in found:
        regrets = [f"{entry.top_k_regret[k].value:.2f}" if k in entry.top_k_regret else "" for k in lists]
        correlations = [interval_text(entry.spearman_rho), interval_text(entry.pearson_r)]
        table.add_row(TITLES.get(entry.quantity, entry.quantity), *correlations, *regrets)
    return table


def _table(title: str) -> Table:
    table = Table(
        title=title, title_justify="left", caption_justify="left", box=box.SIMPLE_HEAD, show_edge=False,
        pad_edge=False, collapse_padding=True,
    )  # fmt: skip
    table.add_column("accuracy of")
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
        c=[c.macs["final"] for c in comparisons], norm=LogNorm(), cmap="viridis_r", s=42, linewidths=0.5,
        edgecolors="white", zorder=3,
    )  # fmt: skip
    macs = sorted(c.macs["final"] for c in comparisons)
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
        tau = f", tau {_taus(entry)}" if entry else ""
        outputs.scatter(
            [c.estimates[name] for c in having], [c.alone[name] for c in having],
            s=26, color=colour, alpha=0.85, linewidths=0, label=f"{TITLES.get(name, name)}{tau}", zorder=3,
        )  # fmt: skip
    outputs.legend(loc="lower right", frameon=False, fontsize=9)
    _finish(outputs, "Each output by itself", None)
    save_figure(path, figure)


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
        axes.text(0.03, 0.97, "\n".join(_figures(entry)), transform=axes.transAxes, va="top", color=FRONT)


def _figures(entry: Agreement) -> list[str]:
    lines = [f"Kendall tau {interval_text(entry.kendall_tau)}"]
    if entry.against_macs is not None:
        lines.append(f"MACs alone {interval_text(entry.against_macs.kendall_tau)}")
        partial = entry.against_macs.partial_kendall_tau
        lines += [f"partial {interval_text(partial)}"] if partial is not None else []
    return lines


def _taus(entry: Agreement) -> str:
    against = entry.against_macs
    return f"{entry.kendall_tau.value:.2f}" + (f" (MACs {against.kendall_tau.value:.2f})" if against else "")
