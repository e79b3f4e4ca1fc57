from dataclasses import replace
from pathlib import Path

import matplotlib as mpl
import pytest
from PIL import Image

from aebnas_bo.analysis import plots
from aebnas_bo.analysis.plots import plot_hypervolume, plot_pareto_front, plot_trained_networks
from aebnas_bo.analysis.trained_point import TrainedPoint
from aebnas_bo.estimation.estimate import OperatingPoint
from aebnas_bo.search.objectives import constraint
from tests.made_trials import with_further


@pytest.mark.parametrize("plot", [plot_hypervolume, plot_pareto_front])
@pytest.mark.parametrize("count", [0, 1, 4, 7])
def test_figures_are_drawn_for_any_number_of_trials(plot, count, tmp_path: Path, trials, objectives) -> None:
    before = dict(mpl.rcParams)
    plot(tmp_path / "figure.png", trials[:count], objectives, design_trials=2)
    with Image.open(tmp_path / "figure.png") as image:
        assert image.size == (1600, 1000)
        assert len(image.convert("RGB").getcolors(10**6) or []) > 10  # something stands on it
    assert dict(mpl.rcParams) == before
    assert [path.name for path in tmp_path.iterdir()] == ["figure.png"]


def test_only_failed_trials_say_so(tmp_path: Path, trials, objectives) -> None:
    plot_pareto_front(tmp_path / "figure.png", [trials[3]], objectives, design_trials=2)
    assert (tmp_path / "figure.png").exists()


def test_the_front_is_within_the_axes_where_only_further_settings_reach(trials, objectives, monkeypatch) -> None:
    cheap = OperatingPoint({"accuracy": 20.0, "average_macs": 0.001}, {})
    dear = OperatingPoint({"accuracy": 99.9, "average_macs": 80.0}, {})
    shown = []
    monkeypatch.setattr(plots, "save_figure", lambda _, figure: shown.append(figure.axes[0]))
    plot_pareto_front(Path(), [with_further(trials[0], cheap, dear), *trials[1:]], objectives, design_trials=2)
    (left, right), (bottom, top) = shown[0].get_xlim(), shown[0].get_ylim()
    assert left < 0.001
    assert right > 80.0
    assert bottom < 20.0
    assert top > 99.9


def test_trials_are_drawn_where_none_is_admissible(trials, objectives, monkeypatch) -> None:
    shown = []
    monkeypatch.setattr(plots, "save_figure", lambda _, figure: shown.append(figure.axes[0]))
    limited = (replace(objectives[0], limit=99.99), *objectives[1:])
    plot_pareto_front(Path(), trials, limited, design_trials=2)
    assert [text.get_text() for text in shown[0].texts] == ["no feasible network yet"]
    completed = [trial for trial in trials if trial.status == "COMPLETED"]
    assert sum(len(points.get_offsets()) for points in shown[0].collections) == len(completed)


def test_every_cost_has_a_panel(tmp_path: Path, timed, three) -> None:
    plot_pareto_front(tmp_path / "figure.png", timed, three, design_trials=2)
    with Image.open(tmp_path / "figure.png") as image:
        assert image.size == (2800, 1000)


TRAINED = [
    TrainedPoint("key1", "short", 8, 0.5, 4.5), TrainedPoint("key2", "short", 20, 86.0, 3.5),
    TrainedPoint("key1", "final", 200, 97.0, 90.0), TrainedPoint("plain-3", "plain", 200, 4.9, 0.001),
]  # fmt: skip


def test_trained_networks_are_drawn_and_named_by_their_training(trials, objectives, monkeypatch) -> None:
    shown = []
    monkeypatch.setattr(plots, "save_figure", lambda _, figure: shown.append(figure))
    plot_pareto_front(Path(), trials, objectives, design_trials=2, trained=TRAINED)
    [legend] = shown[0].legends
    labels = [text.get_text() for text in legend.get_texts()]
    assert labels[-4:] == [
        "short training, 8 epochs", "short training, 20 epochs",
        "trained to the end, 200 epochs", "plain network, trained to the end, 200 epochs",
    ]  # fmt: skip
    assert "estimates" in shown[0].axes[0].get_title(loc="left")
    (left, right), (bottom, top) = shown[0].axes[0].get_xlim(), shown[0].axes[0].get_ylim()
    assert right > 90.0
    assert left < 0.001
    assert 0.5 < bottom < 4.9  # the short training is left out
    assert "below this range: 1 short training" in [text.get_text() for text in shown[0].axes[0].texts]
    assert top > 97.0


@pytest.mark.parametrize("trained", [[], TRAINED[2:], TRAINED])
def test_the_legend_is_within_the_figure(trials, objectives, monkeypatch, trained: list[TrainedPoint]) -> None:
    figures = []
    monkeypatch.setattr(plots, "save_figure", lambda _, figure: figures.append(figure))
    shown = [with_further(trials[0], OperatingPoint({"accuracy": 99.9, "average_macs": 80.0}, {})), *trials[1:]]
    plot_pareto_front(Path(), shown, objectives, design_trials=2, trained=trained)
    figures[0].canvas.draw()
    (legend,) = figures[0].legends
    legend, whole = legend.get_window_extent(), figures[0].bbox
    assert whole.x0 <= legend.x0 < legend.x1 <= whole.x1


CURVE = ((0.5, 60.0), (0.8, 71.5), (1.5, 80.0))


def test_trained_networks_alone_have_their_figures_and_no_estimates(monkeypatch) -> None:
    shown = []
    monkeypatch.setattr(plots, "save_figure", lambda _, figure: shown.append(figure))
    networks = [
        TrainedPoint("a", "final", 40, 80.0, 1.5, curve=CURVE), TrainedPoint("b", "final", 1, 55.5, 0.125),
        TrainedPoint("plain-3", "plain", 200, 70.0, 1.0, curve=CURVE[:2]),
    ]  # fmt: skip
    plot_trained_networks(Path(), networks)
    ([axes], [legend]) = shown[0].axes, shown[0].legends
    assert [text.get_text() for text in legend.get_texts()] == [
        "trained networks at other thresholds", "trained to the end", "plain network, trained to the end",
    ]  # fmt: skip
    texts = [text.get_text() for text in axes.texts]
    assert texts == ["80.0 % at 1.5 M\n40 epochs", "55.5 % at 0.125 M\n1 epoch", "70.0 % at 1 M\n200 epochs"]
    lines = [line.get_xydata().tolist() for line in axes.lines]
    assert [list(point) for point in CURVE] in lines
    assert [[1.5, 80.0], [0.125, 55.5]] in lines
    shown[0].canvas.draw()
    for text in axes.texts:
        box = text.get_window_extent()
        assert axes.bbox.x0 <= box.x0
        assert box.x1 <= axes.bbox.x1


def test_operating_points_of_trained_networks_are_drawn_beside_the_front(trials, objectives, monkeypatch) -> None:
    shown = []
    monkeypatch.setattr(plots, "save_figure", lambda _, figure: shown.append(figure))
    trained = [TrainedPoint("a", "final", 40, 80.0, 1.5, curve=CURVE)]
    plot_pareto_front(Path(), trials, objectives, design_trials=2, trained=trained)
    assert [list(point) for point in CURVE] in [line.get_xydata().tolist() for line in shown[0].axes[0].lines]
    assert shown[0].axes[0].get_ylim()[0] < 80.0


def test_trained_networks_have_no_latency_and_stay_out_of_its_panel(timed, three, monkeypatch) -> None:
    shown = []
    monkeypatch.setattr(plots, "save_figure", lambda _, figure: shown.append(figure))
    plot_pareto_front(Path(), timed, three, design_trials=2, trained=TRAINED)
    macs, latency, *_ = (axes.get_legend_handles_labels()[1] for axes in shown[0].axes)
    assert len(set(macs) - set(latency)) == 4
    assert {text.get_text() for text in shown[0].legends[0].get_texts()} == {*macs, *latency}


def test_a_constraint_has_no_panel(timed, objectives, monkeypatch) -> None:
    drawn = []
    monkeypatch.setattr("aebnas_bo.analysis.plots.save_figure", lambda _, figure: drawn.append(figure))
    plot_pareto_front(Path("unused"), timed, (*objectives, constraint("latency_ms <= 5")), design_trials=2)
    [figure] = drawn
    assert [axes.get_xlabel() for axes in figure.axes if axes.get_xlabel()] == ["Average MACs per image (millions)"]
