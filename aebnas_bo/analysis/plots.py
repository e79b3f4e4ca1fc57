"""Matplotlib figures of a run folder; matplotlib's global state is not changed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter, ScalarFormatter

from aebnas_bo.analysis.figure_data import FrontData, front_data, hypervolume_data
from aebnas_bo.analysis.pareto import pareto_front
from aebnas_bo.analysis.trained_point import TRAININGS, TrainedPoint, TrainingKind, by_training, costs_of
from aebnas_bo.search.objectives import Objective, optimized
from aebnas_bo.search.trial import Trial, observations
from aebnas_bo.storage.atomic_files import replacing
from aebnas_bo.storage.count_text import counted

INK = "#1b2a41"
FRONT = "#c8102e"
DESIGN = "#9aa5b1"
SHADE = "#f4d7dc"
WIDTH_INCHES, HEIGHT_INCHES, DPI = 8.0, 5.0, 200
LOG_SPAN = 10.0  # axes with a larger ratio of their ends are logarithmic
LABELS = {"accuracy": "Accuracy", "average_macs": "Average MACs per image", "latency_ms": "Average latency per image"}
UNITS = {"M": "millions"}
TRAINED_STYLES: Mapping[TrainingKind, tuple[str, str, str]] = {  # colour, symbol in matplotlib and in plotly
    "short": ("#8e5bc0", "D", "diamond-open"),
    "final": ("#8e5bc0", "D", "diamond"),
    "plain": ("#2e9e5b", "^", "triangle-up"),
}


def plot_hypervolume(
    path: Path, trials: Sequence[Trial], objectives: Sequence[Objective], *, design_trials: int
) -> None:
    """Plot the hypervolume after each trial.

    Args:
        path: PNG file to write.
        trials: All trials in order.
        objectives: Directions and reference point.
        design_trials: Size of the initial design, which is marked.
    """
    figure, [axes] = _figure()
    data = hypervolume_data(trials, objectives, design_trials)
    numbers, values = data.numbers, data.whole
    if not values:
        _say(axes, "no trial yet")
    else:
        axes.axvspan(0, data.design_end, color="#eef1f4", zorder=0)
        axes.annotate(
            "initial design", (0, 1), (5, -5), xycoords="axes fraction", textcoords="offset points",
            ha="left", va="top", fontsize=9, color="#66717d",
        )  # fmt: skip
        if data.has_settings:
            axes.plot(numbers, data.alone, color=DESIGN, linewidth=1.6, drawstyle="steps-post", label="as proposed")
        label = "with further operating points" if data.has_settings else None
        axes.plot(numbers, values, color=FRONT, linewidth=2, drawstyle="steps-post", label=label)
        axes.plot(numbers[-1], values[-1], "o", color=FRONT, markersize=6)
        axes.annotate(
            f"{values[-1]:.2f}",
            (numbers[-1], values[-1]),
            (0, 7),
            textcoords="offset points",
            ha="right",
            color=FRONT,
        )
        if data.has_settings:
            axes.legend(loc="lower right", frameon=False)
        axes.set_xlim(0, max(numbers[-1] * 1.02, 2))
        axes.set_ylim(data.bottom, data.top)
    axes.set_title("Hypervolume of the trials so far", loc="left", color=INK, fontweight="bold")
    axes.set_xlabel("Evaluated trials")
    axes.set_ylabel(f"Hypervolume over ({data.reference})")
    save_figure(path, figure)


def plot_pareto_front(
    path: Path,
    trials: Sequence[Trial],
    objectives: Sequence[Objective],
    *,
    design_trials: int,
    trained: Sequence[TrainedPoint] = (),
) -> None:
    """Plot accuracy against each cost for all trials and their front, with one panel per cost.

    The line in each panel is the front in accuracy and that cost only.

    Args:
        path: PNG file to write.
        trials: All trials in order.
        objectives: The objectives, accuracy first.
        design_trials: Size of the initial design, which has another colour.
        trained: Trained networks, drawn in the panel of average MACs.
    """
    vertical, *costs = optimized(objectives)
    figure, panels = _figure(len(costs))
    observed, front = observations(trials), pareto_front(trials, objectives)
    for axes, horizontal in zip(panels, costs, strict=True):
        if not observed:
            _say(axes, "no completed trial yet")
        else:
            data = front_data(
                observed, front, objectives, right=horizontal, design_trials=design_trials, trained=trained
            )
            _draw_trials(figure if horizontal is costs[-1] else None, axes, data)
            if front:
                _draw_front(axes, data)
            else:
                _say(axes, "no feasible network yet")
            _draw_trained(axes, data.trained)
            _zoom(axes, data)
        axes.set_xlabel(axis_label(horizontal))
    if observed:  # below the panels, where no point lies under it
        handles = {label: one for axes in panels for one, label in zip(*axes.get_legend_handles_labels(), strict=True)}
        figure.legend(
            handles.values(), handles.keys(), loc="outside lower center", ncols=2 if trained else 3, frameon=False,
            fontsize=9 if trained else None,
        )  # fmt: skip
    num_front, num_all = (len({one.key for one in some}) for some in (front, observed))
    panels[0].set_title(
        f"Pareto front, estimates: {counted(num_front, 'network')} of {num_all} evaluated",
        loc="left",
        color=INK,
        fontweight="bold",
    )
    panels[0].set_ylabel(axis_label(vertical))
    save_figure(path, figure)


def plot_trained_networks(path: Path, trained: Sequence[TrainedPoint]) -> None:
    """Plot accuracy against average MACs of trained networks, without estimates.

    Args:
        path: PNG file to write.
        trained: The networks; at least one.
    """
    figure, [axes] = _figure()
    _draw_curves(axes, trained)
    for kind, name in TRAININGS.items():
        if points := [point for point in trained if point.kind == kind]:
            colour, symbol, _ = TRAINED_STYLES[kind]
            axes.plot(
                [point.average_macs for point in points], [point.accuracy for point in points], symbol,
                color=colour, markersize=7, label=name, zorder=6,
            )  # fmt: skip
    for point in trained:
        axes.annotate(
            f"{point.accuracy:.1f} % at {point.average_macs:.3g} M\n{counted(point.epochs, 'epoch')}",
            (point.average_macs, point.accuracy), (0, 9), textcoords="offset points", ha="center", va="bottom",
            color=INK, fontsize=9, bbox={"facecolor": "white", "alpha": 0.8, "edgecolor": "none", "pad": 1}, zorder=5,
        )  # fmt: skip
    _set_costs(axes, costs_of(trained))
    _set_margins(axes)
    figure.legend(loc="outside lower center", ncols=3, frameon=False)
    axes.set_title("Trained networks, validation images", loc="left", color=INK, fontweight="bold")
    axes.set_xlabel(f"{LABELS['average_macs']} ({UNITS['M']})")
    axes.set_ylabel(f"{LABELS['accuracy']} (%)")
    save_figure(path, figure)


def _draw_trained(axes: Axes, trained: Sequence[TrainedPoint]) -> None:
    """Draw trained networks over average MACs; short trainings have hollow symbols, smaller ones for earlier rungs."""
    _draw_curves(axes, trained)
    longest = max((point.epochs for point in trained if point.kind == "short"), default=0)
    for training, points in by_training(trained).items():
        colour, symbol, _ = TRAINED_STYLES[points[0].kind]
        is_short = points[0].kind == "short"
        axes.scatter(
            [point.average_macs for point in points], [point.accuracy for point in points],
            s=14 if is_short and points[0].epochs < longest else 40, marker=symbol, edgecolors=colour, linewidths=1.4,
            facecolors="white" if is_short else colour, label=training, zorder=6,
        )  # fmt: skip


def _draw_curves(axes: Axes, trained: Sequence[TrainedPoint]) -> None:
    """Draw the operating points of trained networks as lines."""
    label: str | None = "trained networks at other thresholds"
    for point in trained:
        if len(point.curve) > 1:
            colour = TRAINED_STYLES[point.kind][0]
            axes.plot(*zip(*point.curve, strict=True), color=colour, linewidth=1.2, alpha=0.7, label=label, zorder=4)
            label = None


def _draw_trials(figure: Figure | None, axes: Axes, data: FrontData) -> None:
    up, right, model = data.up.name, data.right.name, data.proposed
    axes.scatter(
        [t.metrics[right] for t in data.design], [t.metrics[up] for t in data.design],
        s=16, facecolors="none", edgecolors=DESIGN, linewidths=1, label="initial design", zorder=2,
    )  # fmt: skip
    if model:
        points = axes.scatter(
            [t.metrics[right] for t in model], [t.metrics[up] for t in model], c=[t.number for t in model],
            s=16, cmap="viridis_r", alpha=0.75, linewidths=0, label="proposed afterwards", zorder=3,
        )  # fmt: skip
        if figure is None:
            return
        bar = figure.colorbar(points, ax=axes, pad=0.015, aspect=40, ticks=MaxNLocator(integer=True))
        bar.set_label("trial", color=INK)
        bar.outline.set_visible(False)


def _draw_front(axes: Axes, data: FrontData) -> None:
    vertical, horizontal, front = data.up, data.right, data.front
    x, x_line = ([trial.metrics[horizontal.name] for trial in some] for some in (front, data.line))
    y, y_line = ([trial.metrics[vertical.name] for trial in some] for some in (front, data.line))
    last = x_line[-1], y_line[-1]
    x_line, y_line = [*x_line, horizontal.reference], [*y_line, y_line[-1]]
    axes.fill_between(x_line, y_line, vertical.reference, step="post", color=SHADE, alpha=0.5, zorder=1, linewidth=0)
    axes.plot(x_line, y_line, color=FRONT, linewidth=1.6, drawstyle="steps-post", zorder=4)
    has_settings = any(one.index for one in front)
    label = "Pareto front, at the networks' best thresholds" if has_settings else "Pareto front"
    axes.plot(x, y, "o", color=FRONT, markersize=4.5, label=label, zorder=5)
    axes.annotate(
        f"{last[1]:.1f} {vertical.unit} at {last[0]:.3g} {horizontal.unit}".strip(), last, (4, 5),
        textcoords="offset points", ha="center", va="bottom", color=FRONT, fontsize=9,
    )  # fmt: skip


def _zoom(axes: Axes, data: FrontData) -> None:
    """Set the range to the front, the points near it and trained networks, and note the number of hidden trials."""
    drawn = (*data.trials, *data.front)
    x = [*(trial.metrics[data.right.name] for trial in drawn), *(point.average_macs for point in data.trained)]
    bottom, high = data.visible(data.trials)
    height = max(high - bottom, 0.1 * abs(high), 1e-9)  # a positive height even for a single trial
    axes.set_ylim(bottom - 0.04 * height, high + 0.1 * height)
    _set_costs(axes, x)
    below = [(data.num_below(bottom), "trial")]
    below.append((sum(point.accuracy < bottom for point in data.trained), "short training"))
    hidden = ", ".join(counted(count, name) for count, name in below if count)
    if hidden:
        axes.text(0.01, 0.015, f"below this range: {hidden}", transform=axes.transAxes, fontsize=8.5, color="#66717d")


def _set_costs(axes: Axes, costs: Sequence[float]) -> None:
    """Set range and scale of the horizontal axis to these costs."""
    if needs_logarithm(costs):
        axes.set_xscale("log")
        axes.xaxis.set_major_locator(LogLocator(base=10, subs=(1.0, 2.0, 5.0)))
        axes.xaxis.set_major_formatter(ScalarFormatter())
        axes.xaxis.set_minor_formatter(NullFormatter())
        axes.set_xlim(min(costs) / 1.1, max(costs) * 1.15)
    else:
        span = max(max(costs) - min(costs), 0.1 * abs(max(costs)), 1e-9)
        axes.set_xlim(min(costs) - 0.04 * span, max(costs) + 0.06 * span)


def _set_margins(axes: Axes) -> None:
    """Leave room for texts above points at the ends of an axis."""
    left, right = axes.get_xlim()
    if axes.get_xscale() == "log":
        space = (right / left) ** 0.08
        axes.set_xlim(left / space, right * space)
    else:
        space = 0.08 * (right - left)
        axes.set_xlim(left - space, right + space)
    axes.margins(y=0.15)


def needs_logarithm(values: Sequence[float]) -> bool:
    """Return whether the range of values is so wide that their axis should be logarithmic."""
    return min(values) > 0 and max(values) / min(values) > LOG_SPAN


def axis_label(objective: Objective) -> str:
    """Return the label of a metric's axis, with its unit."""
    unit = UNITS.get(objective.unit, objective.unit)
    return LABELS.get(objective.name, objective.name) + (f" ({unit})" if unit else "")


def _figure(num_panels: int = 1) -> tuple[Figure, list[Axes]]:
    width = WIDTH_INCHES * (1.0 + 0.75 * (num_panels - 1))
    figure = Figure(figsize=(width, HEIGHT_INCHES), dpi=DPI, layout="constrained")
    FigureCanvasAgg(figure)
    panels = list(figure.subplots(1, num_panels, sharey=True, squeeze=False)[0])
    for axes in panels:
        style_axes(axes)
    return figure, panels


def style_axes(axes: Axes) -> None:
    """Apply the style of this package's figures to axes."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(True, color="#e3e7eb", linewidth=0.6)
    axes.set_axisbelow(True)
    axes.tick_params(colors=INK)


def _say(axes: Axes, text: str) -> None:
    axes.text(0.5, 0.5, text, transform=axes.transAxes, ha="center", va="center", fontsize=14, color="#66717d")


def save_figure(path: Path, figure: Figure) -> None:
    """Write a figure as a PNG file atomically.

    Args:
        path: The file.
        figure: The figure.
    """
    with replacing(path) as temporary:
        figure.savefig(temporary, format="png")
