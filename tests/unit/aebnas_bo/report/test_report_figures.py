import json
from dataclasses import replace

import pytest

from aebnas_bo.analysis.trained_point import TrainedPoint
from aebnas_bo.report.contents import Contents, Networks, gather
from aebnas_bo.report.report_figures import (
    MarkedNetworks,
    exits_figure,
    front_figure,
    hypervolume_figure,
    predictions_figure,
    relevance_figure,
    seconds_figure,
    sweep_figure,
)
from aebnas_bo.report.stored_run import read_run
from aebnas_bo.search.trial import as_proposed, observations
from tests.made_trials import with_metrics


@pytest.fixture(scope="module")
def contents(tiny_runs) -> Contents:
    return gather(read_run(tiny_runs()))


@pytest.fixture(scope="module")
def networks(contents: Contents) -> Networks:
    assert contents.networks is not None
    return contents.networks


def traces(figure) -> dict[str, dict]:
    return {trace.get("name", ""): trace for trace in json.loads(figure.json)["data"]}


def drawn(networks: Networks, objectives, trained=()):
    return front_figure(
        networks.observed, networks.front, objectives, right=objectives[1], design_trials=8,
        marked=MarkedNetworks(networks.chosen, trained),
    )  # fmt: skip


def test_the_front_marks_all_kinds_of_points(contents: Contents, networks: Networks) -> None:
    objectives = contents.run.study.objectives
    figure = drawn(networks, objectives)
    found = traces(figure)
    completed = [trial for trial in contents.run.trials if trial.status == "COMPLETED"]
    assert len(found["initial design"]["x"]) + len(found["proposed afterwards"]["x"]) == len(completed)
    assert len(found["further thresholds"]["x"]) == len(networks.observed) - len(completed)
    assert found["Pareto front"]["y"] == [trial.metrics["accuracy"] for trial in networks.front]
    assert found["chosen"]["text"] == [str(number + 1) for number in range(len(networks.chosen))]
    for key, text in zip((t.key for t in networks.front), found["Pareto front"]["hovertext"], strict=True):
        assert key in text
        assert "thresholds" in text
    assert "1 knee of the front" in figure.caption or "1 most accurate" in figure.caption


def test_the_front_marks_trained_networks_apart_from_estimates(contents: Contents, networks: Networks) -> None:
    objectives = contents.run.study.objectives
    marks = (
        TrainedPoint("plain-3", "plain", 8, 6.0, 9.0, "plain <network>"),
        TrainedPoint("aaaa", "final", 8, 99.0, 0.5, "searched"),
        TrainedPoint("aaaa", "short", 2, 1.0, 0.5, "searched"),
    )
    figure = drawn(networks, objectives, marks)
    found = traces(figure)["plain network, trained to the end, 8 epochs"]
    assert (found["x"], found["y"]) == ([9.0], [6.0])
    assert "plain &lt;network&gt;" in found["hovertext"][0]
    assert traces(figure)["trained to the end, 8 epochs"]["y"] == [99.0]
    assert traces(figure)["short training, 2 epochs"]["marker"]["symbol"] == "diamond-open"
    low, high = json.loads(figure.json)["layout"]["yaxis"]["range"]
    assert 1.0 < low < 6.0  # the short training is left out
    assert high > 99.0
    assert "trained separately and measured on validation images" in figure.caption
    unmarked = drawn(networks, objectives)
    assert "trained separately" not in unmarked.caption
    latency = replace(objectives[1], name="latency_ms")
    alone = [one.trial for one in networks.observed if one.index == 0]
    timed = observations([with_metrics(as_proposed(one), latency_ms=1.0) for one in alone])
    by_latency = front_figure(
        timed, timed[:1], (*objectives, latency), right=latency, design_trials=8, marked=MarkedNetworks(trained=marks)
    )
    assert "trained to the end, 8 epochs" not in traces(by_latency)


def test_the_front_marks_the_original_network(contents: Contents, networks: Networks) -> None:
    objectives, one = contents.run.study.objectives, networks.observed[0]
    figure = front_figure(
        networks.observed, networks.front, objectives, right=objectives[1], design_trials=8,
        marked=MarkedNetworks(original=one),
    )  # fmt: skip
    assert traces(figure)["original network"]["y"] == [one.metrics["accuracy"]]
    assert "original network" not in traces(drawn(networks, objectives))


def test_a_single_observation_is_a_front(contents: Contents, networks: Networks) -> None:
    one = networks.observed[:1]
    figure = drawn(replace(networks, observed=one, front=one, chosen=()), contents.run.study.objectives)
    assert "chosen" not in traces(figure)


def test_the_hypervolume_ends_where_the_run_does(contents: Contents, networks: Networks) -> None:
    figure = hypervolume_figure(contents.run.trials, contents.run.study.objectives, 8)
    curve = traces(figure)["with further operating points"]["y"]
    assert (len(curve), curve[-1]) == (len(contents.run.trials), networks.hypervolume)


def test_exits_show_shares_and_accuracies(tiny_runs, networks: Networks) -> None:
    network = next(network for network in networks.chosen if len(network.outputs) > 1)
    figure = exits_figure(network, 1)
    assert figure is not None
    bars = next(trace for trace in json.loads(figure.json)["data"] if trace["type"] == "bar")
    assert sum(bars["y"]) == pytest.approx(100.0)
    sweep = sweep_figure(network, 1)
    assert sweep is not None
    assert sum(trace["mode"] == "markers" for trace in json.loads(sweep.json)["data"]) == 2 * len(network.sweeps)

    plain = gather(read_run(tiny_runs("space.exits=[]"))).networks
    assert plain is not None
    assert exits_figure(plain.chosen[0], 1) is None
    assert sweep_figure(plain.chosen[0], 1) is None


def test_surrogates_and_times(contents: Contents, networks: Networks) -> None:
    objectives = contents.run.study.objectives
    for report, objective in zip(networks.surrogates, objectives, strict=True):
        figure = predictions_figure(report, objective)
        assert figure.name == f"predictions-{report.metric}"
        assert len(traces(figure)[""]["x"]) == 2  # the dotted line, drawn last
        assert len(json.loads(figure.json)["data"][0]["x"]) == len(networks.observed)
    relevance = json.loads(relevance_figure(networks.surrogates).json)["data"]
    assert [trace["name"] for trace in relevance] == ["Accuracy", "Average MACs per image"]
    assert "exit1_threshold" in relevance[0]["y"]
    assert traces(seconds_figure(contents.run.trials))["proposing"]["y"] == [0.5] * 14
