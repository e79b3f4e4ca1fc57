"""Table, CSV file and figure of a comparison."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict
from itertools import cycle
from pathlib import Path

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from rich.table import Table

from aebnas_bo.analysis.plots import save_figure
from aebnas_bo.analysis.tables import write_csv
from aebnas_bo.experiments.comparison.chosen_network import SUPERNET_WEIGHTS
from aebnas_bo.experiments.comparison.comparison_study import MethodRun
from aebnas_bo.storage.atomic_files import write_text
from aebnas_bo.storage.count_text import counted

METHOD_COLOURS = {  # of the package's methods, the same in every figure
    "aebnas-bo": "#c8102e",
    "aebnas": "#1565c0",
    "edanas": "#2e7d32",
    "nachos": "#ef6c00",
    "static": "#7b1fa2",
    "plain": "#263238",
}
OTHER_COLOURS = ("#00838f", "#616161", "#9e9d24", "#6d4c41", "#d81b60", "#1a237e")
DPI = 160

Figures = tuple[str, Callable[[MethodRun], float | None], int]
COLUMNS: tuple[Figures, ...] = (
    ("test accuracy (%)", lambda run: run.network.test_accuracy, 2),
    ("validation accuracy (%)", lambda run: run.network.validation_accuracy, 2),
    ("average MACs (M)", lambda run: run.network.average_macs, 4),
    ("same, passed branches free (M)", lambda run: run.network.average_macs_without_passed, 4),
    ("worst-case MACs (M)", lambda run: run.network.worst_case_macs, 4),
    ("exits", lambda run: run.network.exits, 1),
    ("hypervolume", lambda run: run.curve[-1] if run.curve else None, 3),
    ("search seconds", lambda run: run.seconds, 0),
)


def comparison_rows(runs: Sequence[MethodRun]) -> list[list[str]]:
    """Return a row of text per method: mean and, for several seeds, standard deviation.

    The best mean hypervolume comes first; plain networks, which have none, come last.
    """
    by_method: dict[str, list[MethodRun]] = {}
    for run in runs:
        by_method.setdefault(run.method, []).append(run)
    rows = []
    for name, its in sorted(by_method.items(), key=lambda item: -_mean_hypervolume(item[1])):
        cells = [name, str(len(its)), its[0].network.weights]
        for _, value_of, digits in COLUMNS:
            values = [value for run in its if (value := value_of(run)) is not None]
            spread = f" ± {statistics.stdev(values):.{digits}f}" if len(values) > 1 else ""
            cells.append(f"{statistics.mean(values):.{digits}f}{spread}" if values else "–")
        cells.append(_rates(its[0]))
        rows.append(cells)
    return rows


def _mean_hypervolume(runs: Sequence[MethodRun]) -> float:
    return statistics.mean(run.curve[-1] if run.curve else -math.inf for run in runs)


def header(runs: Sequence[MethodRun]) -> list[str]:
    """Return the names of the columns of `comparison_rows`."""
    first = min(run.seed for run in runs)
    return ["method", "seeds", "weights", *(name for name, _, _ in COLUMNS), f"exit rates (%), seed {first}"]


def _rates(run: MethodRun) -> str:
    return " / ".join(f"{100 * rate:.0f}" for rate in run.network.exit_rates)


def terminal_table(runs: Sequence[MethodRun]) -> Table:
    """Return the table for a terminal."""
    table = Table(title=caption(runs), title_justify="left")
    for position, name in enumerate(header(runs)):
        table.add_column(name, justify="right" if position else "left")
    for row in comparison_rows(runs):
        table.add_row(*row)
    return table


def caption(runs: Sequence[MethodRun]) -> str:
    """Return the caption of a comparison."""
    trials = max(len(run.curve) for run in runs)
    evaluated = f"Methods after {counted(trials, 'evaluated network')}" if trials else "Methods"
    chosen = f"the most accurate network within {runs[0].max_average_macs:.4g} M average MACs"
    kinds = {run.network.weights == SUPERNET_WEIGHTS for run in runs}
    if len(kinds) == 1:
        weights = "with the supernet's weights" if True in kinds else "trained alone"
        return f"{evaluated}; accuracy of {chosen}, {weights}"
    return (
        f"{evaluated}; accuracy of {chosen}. Networks with the supernet's weights are usually more accurate "
        "once they are trained alone: do not compare them with those that are (column weights)"
    )


def write_outputs(folder: Path, runs: Sequence[MethodRun]) -> None:
    """Write `comparison.csv` (a row per method and seed), `comparison.md` and `comparison.png`."""
    columns = [name for name in asdict(runs[0].network) if name != "exit_rates"]
    rows = [
        [run.method, run.seed, run.max_average_macs, *(getattr(run.network, name) for name in columns),
         _rates(run), run.curve[-1] if run.curve else None, run.seconds]
        for run in runs
    ]  # fmt: skip
    head = ["method", "seed", "max_average_macs", *columns, "exit_rates_percent", "hypervolume", "seconds"]
    write_csv(folder / "comparison.csv", head, rows)
    names = header(runs)
    lines = [caption(runs), "", f"| {' | '.join(names)} |", f"|{'---|' * len(names)}"]
    lines += [f"| {' | '.join(row)} |" for row in comparison_rows(runs)]
    write_text(folder / "comparison.md", "\n".join(lines) + "\n")
    plot_comparison(folder / "comparison.png", runs)


def method_colours(names: Iterable[str]) -> dict[str, str]:
    """Return a colour for each method: a fixed one for methods of this package, else the next free one."""
    others = cycle(OTHER_COLOURS)
    return {name: METHOD_COLOURS.get(name) or next(others) for name in dict.fromkeys(names)}


def plot_comparison(path: Path, runs: Sequence[MethodRun]) -> None:
    """Draw hypervolume over trials, and the chosen networks on the test images.

    Args:
        path: PNG file to write.
        runs: All runs.
    """
    figure = Figure(figsize=(11.5, 4.8), dpi=DPI, layout="constrained")
    FigureCanvasAgg(figure)
    curves, networks = figure.subplots(1, 2)
    floor = []
    for name, colour in method_colours(run.method for run in runs).items():
        its = [run for run in runs if run.method == name]
        macs = [run.network.average_macs for run in its]
        is_alone = its[0].network.weights != SUPERNET_WEIGHTS
        networks.scatter(
            macs, [run.network.test_accuracy for run in its], color=colour, s=45, marker="^" if is_alone else "o",
            label=f"{name}, trained alone" if is_alone else f"{name}, with the supernet's weights",
        )  # fmt: skip
        if not its[0].curve:
            continue
        values = np.array([run.curve for run in its])
        x = np.arange(1, values.shape[1] + 1)
        curves.plot(x, np.median(values, axis=0), color=colour, linewidth=2, label=name)
        if len(its) > 1:
            curves.fill_between(x, values.min(axis=0), values.max(axis=0), color=colour, alpha=0.15, linewidth=0)
        floor.append(np.median(values, axis=0)[min(9, values.shape[1] - 1)])
    if floor:
        top = max(run.curve[-1] for run in runs if run.curve)
        margin = 0.05 * max(top - min(floor), 1e-9)
        curves.set_ylim(min(floor) - margin, top + margin)
        curves.legend(frameon=False, loc="lower right")
    else:
        curves.text(0.5, 0.5, "no method that searches", transform=curves.transAxes, ha="center", color="#66717d")
    if any(run.network.weights != SUPERNET_WEIGHTS for run in runs):
        networks.legend(frameon=False, loc="best", fontsize=8)
    curves.set_title("Hypervolume on validation images", loc="left", fontweight="bold")
    curves.set_xlabel("Evaluated networks")
    curves.set_ylabel("Hypervolume (% x M)")
    budget = runs[0].max_average_macs
    networks.axvline(budget, color="#9aa5b1", linestyle=":")
    networks.annotate(
        f"budget, {budget:.4g} M",
        (budget, 1.01),
        xycoords=("data", "axes fraction"),
        ha="right",
        fontsize=9,
        color="#66717d",
    )
    networks.set_title("Chosen networks on test images", loc="left", fontweight="bold")
    networks.set_xlabel("Average MACs per image (millions), passed branches charged")
    networks.set_ylabel("Accuracy (%)")
    for axes in (curves, networks):
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(alpha=0.25)
    save_figure(path, figure)
