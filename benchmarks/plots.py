"""The figure of one problem: share of the best hypervolume known that is missing, over evaluations."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes

from benchmarks.comparison import OURS, Measure, curve_of, has_settings
from benchmarks.curves import Run

COLOURS = {
    OURS: "#c2185b",
    "qnehvi-trials-only": "#f48fb1",
    "qnehvi-q4": "#7b1fa2",
    "aebnas": "#1565c0",
    "optuna-tpe": "#2e7d32",
    "optuna-gp": "#00838f",
    "optuna-nsga2": "#9e9d24",
    "pymoo-nsga2": "#ef6c00",
    "sobol": "#757575",
    "random": "#bdbdbd",
    "ax-default": "#000000",
}
SMALLEST_SHARE = 1e-4  # of the best hypervolume, drawn where less is missing
PANELS: dict[Measure, str] = {
    "own": "what each method delivers",
    "settings": "all with further operating points",
}


def plot_problem(path: Path, runs: Sequence[Run], best: float) -> None:
    """Draw medians and quartiles of the share of the best hypervolume that is missing, a panel for each measure.

    Args:
        path: PNG file.
        runs: Runs of one problem; where none has further threshold settings, there is a single panel.
        best: Best hypervolume known.
    """
    measures = list(PANELS)[: 2 if has_settings(runs) else 1]
    size = (5.6 * len(measures), 4.2)
    figure, grid = plt.subplots(1, len(measures), figsize=size, sharey=True, squeeze=False, layout="constrained")
    panels = list(grid[0])
    for axes, measure in zip(panels, measures, strict=True):
        _draw(axes, runs, best, measure)
        axes.set_xlabel("evaluations")
        if len(measures) > 1:
            axes.set_title(PANELS[measure], fontsize=10)
    panels[0].set_ylabel("share of the best hypervolume missing")
    panels[-1].legend(frameon=False, fontsize=8, ncols=2)
    figure.suptitle(f"{runs[0].problem}: median and quartiles over seeds; lower is better", fontsize=10)
    figure.savefig(path, dpi=100)
    plt.close(figure)


def _draw(axes: Axes, runs: Sequence[Run], best: float, measure: Measure) -> None:
    for name in sorted({run.method for run in runs}, key=list(COLOURS).index):
        curves = [curve_of(run, measure) for run in runs if run.method == name]
        length = min(map(len, curves))
        if length == 0:
            continue
        missing = np.maximum(1.0 - np.stack([curve[:length] for curve in curves]) / best, SMALLEST_SHARE)
        low, middle, high = np.quantile(missing, [0.25, 0.5, 0.75], axis=0)
        x = np.arange(1, length + 1)
        is_ours = name == OURS
        axes.plot(x, middle, color=COLOURS[name], lw=2.2 if is_ours else 1.2, zorder=3 if is_ours else 2, label=name)
        axes.fill_between(x, low, high, color=COLOURS[name], alpha=0.15, lw=0)
    axes.set_yscale("log")
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(alpha=0.25, which="both")
