"""Figure of `benchmarks.worth`: test accuracy over average MACs, with the spread over seeds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, NullFormatter, StrMethodFormatter

from benchmarks.worth_comparison import Curve, accuracy_at, chosen, curves, is_refused
from benchmarks.worth_jobs import Point, Result

LOOKS = {
    "ours": ("#c2185b", "ours"),
    "plain": ("#1b2a41", "plain networks"),
    "exit": ("#7a8794", "plain networks with an exit"),
}
TICKS = [base * 10.0**power for power in range(-3, 3) for base in (1, 2, 5)]
GRID = 80  # MACs at which curves of several seeds are averaged
DPI = 160


def plot_worth(
    path: Path, results: Sequence[Result], budgets: Sequence[float], *, title: str, widths: Sequence[int]
) -> None:
    """Draw mean and range of each part over seeds, and our networks selected for the budgets.

    Args:
        path: PNG file.
        results: Results of finished jobs.
        budgets: Average MACs in millions.
        title: Title of the figure.
        widths: Widths of the plain families.
    """
    figure = Figure(figsize=(6.4, 4.4), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    for budget in budgets:
        axes.axvline(budget, color="#dddddd", lw=1.0, zorder=0)
    for part in ("exit", "plain", "ours"):
        by_seed = curves(results, part, widths)
        if by_seed:
            _draw_part(axes, by_seed, part)
    _draw_chosen(axes, results, budgets)
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(FixedLocator(TICKS))
    axes.xaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_xlabel("average MACs of a test image (millions)")
    axes.set_ylabel("test accuracy (%)")
    axes.set_title(title, fontsize=10)
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="y", alpha=0.25)
    axes.legend(frameon=False, fontsize=8, loc="lower right")
    figure.savefig(path, dpi=DPI)


def _draw_part(axes: Axes, by_seed: Mapping[int, Curve], part: str) -> None:
    colour, label = LOOKS[part]
    lowest, highest = (
        bound(curve[at].test_macs for curve in by_seed.values()) for bound, at in ((max, 0), (min, -1))
    )  # where all seeds have results
    if lowest < highest:
        grid = np.geomspace(lowest, highest, GRID)
        heights = np.array([[accuracy_at(curve, macs)[0] for macs in grid] for curve in by_seed.values()])
        axes.plot(grid, heights.mean(axis=0), color=colour, lw=1.8, label=label)
        axes.fill_between(grid, heights.min(axis=0), heights.max(axis=0), color=colour, alpha=0.15, lw=0)
        label = "_"
    if part == "plain":
        for curve in by_seed.values():
            _scatter(axes, curve, colour, label=label)
            label = "_"


def _draw_chosen(axes: Axes, results: Sequence[Result], budgets: Sequence[float]) -> None:
    ours = [result for result in results if result.part == "ours" and not is_refused(result)]
    found = [point for result in ours for budget in budgets if (point := chosen(result.points, budget)) is not None]
    _scatter(axes, found, LOOKS["ours"][0], label="ours, chosen for the budgets" if found else "_")


def _scatter(axes: Axes, points: Sequence[Point], colour: str, *, label: str) -> None:
    axes.scatter(
        [point.test_macs for point in points],
        [point.test_accuracy for point in points],
        s=14,
        color=colour,
        zorder=3,
        label=label,
        linewidths=0,
    )
