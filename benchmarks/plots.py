"""Figure of one problem: hypervolume and distance to the best known front, over evaluations."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes

from benchmarks.comparison import OURS, SMALLEST_DIFFERENCE, Measure, curve_of
from benchmarks.curves import Run

COLOURS = {
    OURS: "#c2185b",
    "qnehvi-trials-only": "#f48fb1",
    "qnehvi-q4": "#7b1fa2",
    "aebnas": "#1565c0",
    "optuna-tpe": "#2e7d32",
    "optuna-nsga2": "#9e9d24",
    "pymoo-nsga2": "#ef6c00",
    "sobol": "#757575",
    "random": "#bdbdbd",
    "ax-default": "#000000",
}
PANELS: tuple[tuple[Measure, str], ...] = (
    ("own", "what each method delivers"),
    ("settings", "all given the free threshold settings"),
)


def plot_problem(path: Path, runs: Sequence[Run], best: float) -> None:
    """Draw medians and quartiles of the distance to the best known hypervolume, for each measure.

    Args:
        path: PNG file.
        runs: Runs of one problem.
        best: Best known hypervolume.
    """
    figure, panels = plt.subplots(1, 2, figsize=(11, 4.6), sharey=True, layout="constrained")
    for axes, (measure, title) in zip(panels, PANELS, strict=True):
        _draw(axes, runs, best, measure)
        axes.set_title(title, fontsize=10)
        axes.set_xlabel("evaluations")
    panels[0].set_ylabel("hypervolume short of the best known")
    panels[1].legend(frameon=False, fontsize=8, ncols=2)
    figure.suptitle(f"{runs[0].problem}: median and quartiles over seeds; lower is better", fontsize=11)
    figure.savefig(path, dpi=130)
    plt.close(figure)


def _draw(axes: Axes, runs: Sequence[Run], best: float, measure: Measure) -> None:
    for name in sorted({run.method for run in runs}, key=list(COLOURS).index):
        curves = [curve_of(run, measure) for run in runs if run.method == name]
        length = min(map(len, curves))
        if length == 0:
            continue
        difference = np.maximum(best - np.stack([curve[:length] for curve in curves]), SMALLEST_DIFFERENCE)
        low, middle, high = np.quantile(difference, [0.25, 0.5, 0.75], axis=0)
        x = np.arange(1, length + 1)
        is_ours = name == OURS
        axes.plot(x, middle, color=COLOURS[name], lw=2.2 if is_ours else 1.2, zorder=3 if is_ours else 2, label=name)
        axes.fill_between(x, low, high, color=COLOURS[name], alpha=0.15, lw=0)
    axes.set_yscale("log")
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(alpha=0.25, which="both")
