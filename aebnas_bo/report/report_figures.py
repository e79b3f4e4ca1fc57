"""Interactive plotly figures of a report; the page sets their style where possible."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from plotly import graph_objects as go
from plotly.subplots import make_subplots

from aebnas_bo.analysis.figure_data import front_data, hypervolume_data
from aebnas_bo.analysis.front_table import exit_rates_text, thresholds_text
from aebnas_bo.analysis.plots import DESIGN, FRONT, LABELS, TRAINED_STYLES, UNITS, axis_label, needs_logarithm
from aebnas_bo.analysis.surrogate_report import SurrogateReport
from aebnas_bo.analysis.trained_point import TrainedPoint, by_training, costs_of
from aebnas_bo.report.networks import ShownNetwork
from aebnas_bo.search.objectives import Objective
from aebnas_bo.search.trial import Observation, Trial

# Readable on white and on dark grey; the page sets the colours of text and grid.
MODEL = "#2f88c4"
CHOSEN = "#e08a00"
COLOURS = (MODEL, FRONT, "#2e9e5b", "#8e5bc0", CHOSEN, "#5f7683")
SHADE = "rgba(200, 16, 46, 0.08)"
MARGIN = {"l": 56, "r": 12, "t": 12, "b": 40}
TRAINED_NOTE = (
    " Triangles and diamonds: plain networks and networks of the search, trained separately and measured on validation "
    "images (hollow: short trainings); all other points are estimates with shared weights."
)
STANDOFF = 6  # distance of an axis title from its numbers


@dataclass(frozen=True)
class Figure:
    """Figure of the page.

    Args:
        name: Identifier of its position in the page.
        caption: Caption as plain text.
        json: The figure as plotly's JSON.
    """

    name: str
    caption: str
    json: str


@dataclass(frozen=True)
class MarkedNetworks:
    """Networks marked on the front.

    Args:
        chosen: Networks of the search.
        trained: Trained networks, drawn if the cost is average MACs.
        original: A given backbone without exits.
    """

    chosen: Sequence[ShownNetwork] = ()
    trained: Sequence[TrainedPoint] = ()
    original: Observation | None = None


def front_figure(
    observed: Sequence[Observation],
    front: Sequence[Observation],
    objectives: Sequence[Objective],
    *,
    right: Objective,
    design_trials: int,
    marked: MarkedNetworks,
) -> Figure:
    """Plot accuracy against one cost for all observations, the front and the chosen networks.

    Args:
        observed: All observations.
        front: The feasible non-dominated observations.
        objectives: The metrics, accuracy first.
        right: The cost; the line is the front in accuracy and this cost only.
        design_trials: Size of the initial design.
        marked: Networks to mark.
    """
    chosen = marked.chosen
    data = front_data(observed, front, objectives, right=right, design_trials=design_trials, trained=marked.trained)
    up = data.up
    groups = (
        ("initial design", DESIGN, "circle-open", data.design),
        ("proposed afterwards", MODEL, "circle", data.proposed),
        ("further thresholds", MODEL, "x-thin-open", data.further),
    )
    figure = go.Figure()
    for name, colour, symbol, points in groups:
        if points:
            marker = {"color": colour, "symbol": symbol, "size": 6 if symbol == "circle" else 5, "opacity": 0.65}
            figure.add_scatter(**_points(points, objectives, right), mode="markers", name=name, marker=marker)
    if front:
        line = data.line
        steps = [*line, line[-1]]
        end = max(one.metrics[right.name] for one in data.trials)
        figure.add_scatter(
            x=[*(one.metrics[right.name] for one in line), max(end, line[-1].metrics[right.name])],
            y=[one.metrics[up.name] for one in steps],
            mode="lines", line={"color": FRONT, "width": 2, "shape": "hv"}, hoverinfo="skip", showlegend=False,
        )  # fmt: skip
        marker = {"color": FRONT, "size": 8}
        figure.add_scatter(**_points(front, objectives, right), mode="markers", name="Pareto front", marker=marker)
    if chosen:
        stars = [network.observed for network in chosen]
        figure.add_scatter(
            **_points(stars, objectives, right), mode="markers+text", name="chosen",
            marker={"color": CHOSEN, "size": 15, "symbol": "star", "line": {"color": "#7a4a00", "width": 1}},
            text=[str(number) for number in range(1, len(chosen) + 1)], textposition="top center",
        )  # fmt: skip
    if marked.original is not None:
        marker = {"color": "#5f7683", "size": 12, "symbol": "square"}
        original = _points([marked.original], objectives, right)
        figure.add_scatter(**original, mode="markers", name="original network", marker=marker)
    _add_trained(figure, data.trained)
    lowest, highest = data.visible([network.observed for network in chosen])
    space = max(highest - lowest, 1.0)
    figure.update_yaxes(title=axis_label(up), range=[lowest - 0.05 * space, highest + 0.12 * space])
    figure.update_xaxes(title=axis_label(right))
    costs = [*(one.metrics[right.name] for one in observed), *(mark.average_macs for mark in data.trained)]
    if needs_logarithm(costs):
        figure.update_xaxes(**_logarithmic(costs))
    hidden = data.num_below(lowest)
    numbers = ", ".join(f"{number} {network.title}" for number, network in enumerate(chosen, start=1))
    has_exits = len(observed[0].point.exit_rates) > 1
    here = " in this cost" if len(objectives) > 2 else ""
    caption = (
        f"Every point is the search's estimate of a network{' at one operating point' * has_exits}. "
        f"The line is the front: no network found is both more accurate and cheaper{here}."
        f"{f' Stars: {numbers}.' if numbers else ''}"
        f"{f' {hidden} of the trials lie below.' if hidden else ''}"
        f"{TRAINED_NOTE if data.trained else ''}"
    )
    return _figure(f"front-{right.name}", caption, figure, height=440)


def trained_figure(trained: Sequence[TrainedPoint]) -> Figure | None:
    """Plot accuracy against average MACs of trained networks, without estimates; `None` without any.

    Args:
        trained: The networks.
    """
    if not trained:
        return None
    figure = go.Figure()
    for point in trained:
        if len(point.curve) > 1:
            x, y = zip(*point.curve, strict=True)
            line = {"color": TRAINED_STYLES[point.kind][0], "width": 1.5}
            figure.add_scatter(x=x, y=y, mode="lines", line=line, hoverinfo="skip", showlegend=False)
    _add_trained(figure, trained)
    figure.update_yaxes(title=f"{LABELS['accuracy']} (%)")
    figure.update_xaxes(title=f"{LABELS['average_macs']} ({UNITS['M']})")
    if needs_logarithm(costs := costs_of(trained)):
        figure.update_xaxes(**_logarithmic(costs))
    caption = "Trained networks on the validation images, and, as lines, the same networks at other thresholds."
    return _figure("trained", caption, figure, height=440)


def _add_trained(figure: go.Figure, trained: Sequence[TrainedPoint]) -> None:
    for training, points in by_training(trained).items():
        colour, _, symbol = TRAINED_STYLES[points[0].kind]
        figure.add_scatter(
            x=[point.average_macs for point in points], y=[point.accuracy for point in points], mode="markers",
            name=training, hoverinfo="text",
            hovertext=[
                f"<b>{escape(point.name)}</b><br>{point.accuracy:.2f} % of validation images<br>"
                f"average MACs: {point.average_macs:.4g} M"
                for point in points
            ],
            marker={"color": colour, "size": 8 if points[0].kind == "short" else 11, "symbol": symbol},
        )  # fmt: skip


def _points(observed: Sequence[Observation], objectives: Sequence[Objective], right: Objective) -> dict[str, object]:
    return {
        "x": [one.metrics[right.name] for one in observed],
        "y": [one.metrics[objectives[0].name] for one in observed],
        "hovertext": [_hover(one, objectives) for one in observed],
        "hoverinfo": "text",
    }


def _hover(one: Observation, objectives: Sequence[Objective]) -> str:
    up, *costs = objectives
    setting = f", operating point {one.index}" if one.index else ""
    lines = [
        f"<b>{escape(one.key)}</b> (trial {one.number}{setting})",
        f"{one.metrics[up.name]:.2f} ± {one.sems[up.name]:.2f} {up.unit}",
        *(f"{axis_label(cost)}: {one.metrics[cost.name]:.4g}" for cost in costs),
    ]
    if len(one.point.exit_rates) > 1:
        lines += [f"exit rates (%): {exit_rates_text(one)}", f"thresholds: {thresholds_text(one)}"]
    return "<br>".join(lines)


def hypervolume_figure(trials: Sequence[Trial], objectives: Sequence[Objective], design_trials: int) -> Figure:
    """Plot the hypervolume after each trial.

    Args:
        trials: All trials in order.
        objectives: Directions and reference point.
        design_trials: Size of the initial design.
    """
    data = hypervolume_data(trials, objectives, design_trials)
    figure = go.Figure()
    line = {"shape": "hv", "width": 2}
    if data.has_settings:
        figure.add_scatter(
            x=data.numbers, y=data.alone, mode="lines", name="as proposed", line={**line, "color": DESIGN}
        )
    name = "with further operating points" if data.has_settings else "hypervolume"
    figure.add_scatter(x=data.numbers, y=data.whole, mode="lines", name=name, line={**line, "color": FRONT})
    figure.update_yaxes(title="Hypervolume", range=[data.bottom, data.top])
    figure.update_xaxes(title="Evaluated trials", range=[0, 1.02 * len(trials)])
    figure.add_vrect(x0=0, x1=data.design_end, fillcolor=DESIGN, opacity=0.15, line_width=0)
    caption = (
        f"The area between the front and the reference point ({data.reference}) after each trial; higher is better. "
        f"Shaded: the initial design."
    )
    return _figure("hypervolume", caption, figure, height=320)


def exits_figure(network: ShownNetwork, number: int) -> Figure | None:
    """Plot exit rate and accuracy of each output of a network.

    Args:
        network: The network.
        number: Its number in the page.

    Returns:
        The figure; `None` for a network without exits or without measured exit rates.
    """
    rates = [output.exit_rate for output in network.outputs if output.exit_rate is not None]
    if len(rates) < 2:
        return None
    names = [output.name for output in network.outputs]
    figure = make_subplots(rows=2, shared_xaxes=True, vertical_spacing=0.07, row_heights=[0.55, 0.45])
    series = (
        ("of the images leaving here", FRONT, "circle", "accuracy_of_leaving"),
        ("if all images left here", MODEL, "diamond-open", "accuracy"),
    )
    for label, colour, symbol, field in series:
        if network.has_table:
            figure.add_scatter(
                x=names, y=[getattr(output.outcome, field) for output in network.outputs], mode="markers", name=label,
                marker={"color": colour, "symbol": symbol, "size": 11}, hovertemplate="%{y:.2f} %", row=1, col=1,
            )  # fmt: skip
    shares = [100.0 * rate for rate in rates]
    figure.add_bar(
        x=names, y=shares, text=[f"{share:.1f} %" for share in shares], textposition="outside", cliponaxis=False,
        marker={"color": MODEL, "opacity": 0.7}, showlegend=False, hoverinfo="skip", row=2, col=1,
    )  # fmt: skip
    figure.update_yaxes(title="Accuracy (%)", row=1, col=1)
    figure.update_yaxes(title="Images (%)", range=[0, 118], tickvals=[0, 50, 100], row=2, col=1)
    caption = "Above: accuracy of each output. Below: fraction of images that leave there."
    return _figure(f"exits-{number}", caption, figure, height=330)


def sweep_figure(network: ShownNetwork, number: int) -> Figure | None:
    """Plot accuracy and average MACs of a network as one threshold varies.

    Args:
        network: The network.
        number: Its number in the page.

    Returns:
        The figure; `None` for a network without exits or without an exit table.
    """
    if not network.sweeps:
        return None
    figure = make_subplots(rows=2, shared_xaxes=True, vertical_spacing=0.1)
    for position, sweep in enumerate(network.sweeps):
        colour, chosen = COLOURS[position % len(COLOURS)], sweep.thresholds.index(sweep.chosen)
        for row, values in ((1, sweep.accuracies), (2, sweep.average_macs)):
            figure.add_scatter(
                x=list(sweep.thresholds), y=list(values), mode="lines", name=sweep.name, showlegend=row == 1,
                legendgroup=sweep.name, line={"color": colour, "width": 2, "shape": "vh"}, row=row, col=1,
                hovertemplate="threshold %{x:.3f}: %{y:.4g}",
            )  # fmt: skip
            figure.add_scatter(
                x=[sweep.chosen], y=[values[chosen]], mode="markers", showlegend=False, hoverinfo="skip",
                legendgroup=sweep.name, row=row, col=1,
                marker={"color": CHOSEN, "size": 13, "symbol": "star", "line": {"color": "#7a4a00", "width": 1}},
            )  # fmt: skip
    figure.update_yaxes(title="Accuracy (%)", row=1, col=1)
    figure.update_yaxes(title="MACs (M)", row=2, col=1)
    figure.update_xaxes(title="Threshold", range=[-0.02, 1.02], row=2, col=1)
    caption = (
        "Accuracy and average MACs as the threshold of one exit varies and the others stay fixed: with a higher "
        "threshold, fewer images leave. Stars mark the thresholds of this network."
    )
    return _figure(f"sweep-{number}", caption, figure, height=350)


def predictions_figure(report: SurrogateReport, objective: Objective) -> Figure:
    """Plot the surrogate's predictions of left-out networks against their observations.

    Args:
        report: Report of the surrogate of one metric.
        objective: The metric.
    """
    observed = [prediction.observed.metrics[report.metric] for prediction in report.predictions]
    predicted = [prediction.predicted for prediction in report.predictions]
    figure = go.Figure()
    figure.add_scatter(
        x=observed, y=predicted, mode="markers", showlegend=False, hoverinfo="text",
        hovertext=[f"{escape(one.observed.key)}<br>predicted {one.predicted:.4g} [{one.lower:.4g}, {one.upper:.4g}]"
                   for one in report.predictions],
        error_y={
            "type": "data", "symmetric": False, "width": 0, "thickness": 1, "color": "rgba(42, 127, 184, 0.25)",
            "array": [one.upper - one.predicted for one in report.predictions],
            "arrayminus": [one.predicted - one.lower for one in report.predictions],
        },
        marker={"color": MODEL, "size": 5, "opacity": 0.7},
    )  # fmt: skip
    ends = [min(observed), max(observed)]
    line = {"color": FRONT, "width": 1.5, "dash": "dot"}
    figure.add_scatter(x=ends, y=ends, mode="lines", line=line, showlegend=False, hoverinfo="skip")
    label = axis_label(objective)
    figure.update_xaxes(title="observed")
    figure.update_yaxes(title="predicted")
    if needs_logarithm([*observed, *predicted]) and objective.bounds is None:
        axis = _logarithmic([*observed, *predicted])
        figure.update_xaxes(**axis)
        figure.update_yaxes(**axis)
    caption = (
        f"{label}: each network predicted by the surrogate from all other networks, with its 95 % interval. "
        "Predictions on the dotted line are exact."
    )
    return _figure(f"predictions-{report.metric}", caption, figure, height=340)


def relevance_figure(reports: Sequence[SurrogateReport]) -> Figure:
    """Plot the relevance of each part of a network to the surrogates: the inverse of its length-scale.

    Args:
        reports: Reports of the surrogates of metrics that are not known exactly.
    """
    figure = go.Figure()
    for colour, report in zip(COLOURS, reports, strict=False):
        groups = [group for group, _ in reversed(report.lengthscales)]
        figure.add_bar(
            y=groups, x=[1.0 / value for _, value in reversed(report.lengthscales)], orientation="h",
            name=LABELS.get(report.metric, report.metric), marker={"color": colour, "opacity": 0.8},
            hovertemplate="%{y}: %{x:.3g}",
        )  # fmt: skip
    figure.update_xaxes(title="1 / length-scale")
    figure.update_yaxes(automargin=True)
    figure.update_layout(barmode="group")
    caption = "Relevance of each part of a network to the surrogates: the inverse of its length-scale."
    return _figure("relevance", caption, figure, height=120 + 30 * len(reports[0].lengthscales))


def seconds_figure(trials: Sequence[Trial]) -> Figure:
    """Plot the seconds spent on proposing and evaluating each trial.

    Args:
        trials: Completed and failed trials.
    """
    figure = go.Figure()
    numbers = [trial.number + 1 for trial in trials]
    series = (
        ("proposing", MODEL, [trial.generation_s for trial in trials]),
        ("evaluating", CHOSEN, [trial.evaluation_s for trial in trials]),
    )
    for name, colour, values in series:
        marker = {"color": colour, "size": 5, "opacity": 0.8}
        figure.add_scatter(x=numbers, y=values, mode="markers", name=name, marker=marker)
    figure.update_xaxes(title="Trial")
    figure.update_yaxes(title="Seconds", rangemode="tozero")
    return _figure("seconds", "Seconds spent on each trial.", figure, height=280)


def _logarithmic(values: Sequence[float]) -> dict[str, object]:
    """Return a logarithmic axis with ticks at 1, 2 and 5."""
    decades = range(math.floor(math.log10(min(values))), math.floor(math.log10(max(values))) + 1)
    ticks = [digit * 10.0**decade for decade in decades for digit in (1, 2, 5)]
    return {"type": "log", "tickvals": ticks, "ticktext": [f"{tick:g}" for tick in ticks]}


def _figure(name: str, caption: str, figure: go.Figure, *, height: int) -> Figure:
    figure.update_layout(
        template="none",
        height=height,
        margin=MARGIN,
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        legend={"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom"},
        hoverlabel={"align": "left"},
    )
    figure.update_xaxes(zeroline=False, automargin=True, title_standoff=STANDOFF)
    figure.update_yaxes(zeroline=False, automargin=True, title_standoff=STANDOFF)
    return Figure(name, caption, figure.to_json())
