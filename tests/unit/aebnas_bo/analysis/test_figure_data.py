from dataclasses import replace

from aebnas_bo.analysis.figure_data import front_data, hypervolume_data, line_of
from aebnas_bo.analysis.hypervolume import hypervolume
from aebnas_bo.analysis.pareto import pareto_front
from aebnas_bo.analysis.trained_point import TrainedPoint
from aebnas_bo.estimation.estimate import OperatingPoint
from aebnas_bo.search.trial import as_proposed, observations
from tests.made_trials import with_further, with_metrics

CHEAP = OperatingPoint({"accuracy": 80.0, "average_macs": 1.0}, {})


def test_the_line_of_a_panel_is_the_front_of_its_two_metrics_alone(timed, three) -> None:
    assert [trial.number for trial in line_of(observations(timed), three, three[1])] == [5, 0, 2, 1]
    assert [trial.number for trial in line_of(observations(timed), three, three[2])] == [4, 1]
    limited = (three[0], replace(three[1], limit=3.6), three[2])
    assert [trial.number for trial in line_of(observations(timed), limited, three[2])] == [4, 2]


def test_the_line_leaves_out_settings_that_break_a_limit(trials, three) -> None:
    slow = OperatingPoint({"accuracy": 99.0, "average_macs": 1.0, "latency_ms": 8.0}, {})
    one = with_further(with_metrics(trials[0], latency_ms=2.0), slow)
    limited = (*three[:2], replace(three[2], limit=5.0))
    assert [shown.index for shown in line_of(observations([one]), limited, three[1])] == [0]


def test_the_hypervolume_is_shown_with_and_without_further_settings(trials, objectives) -> None:
    data = hypervolume_data([with_further(trials[0], CHEAP), *trials[1:]], objectives, 2)
    assert data.numbers == list(range(1, len(trials) + 1))
    assert data.alone[-1] == hypervolume(trials, objectives)
    assert data.whole[-1] > data.alone[-1]
    assert data.has_settings
    assert not hypervolume_data(trials, objectives, 2).has_settings
    assert data.design_end == 2.5
    assert hypervolume_data(trials[:1], objectives, 2).design_end == 1.5
    assert data.bottom < data.alone[min(5, len(trials) - 1)] < data.whole[-1] < data.top


def test_without_trials_there_is_no_curve(objectives) -> None:
    data = hypervolume_data([], objectives, 2)
    assert (data.numbers, data.whole, data.has_settings) == ([], (), False)


def test_observations_are_told_apart(trials, objectives) -> None:
    trials = [with_further(trials[0], CHEAP), *trials[1:]]
    observed = observations(trials)
    front = pareto_front(trials, objectives)
    points = [TrainedPoint("key1", "final", 200, 97.0, 90.0)]
    data = front_data(observed, front, objectives, right=objectives[1], design_trials=2, trained=points)
    assert [trial.number for trial in data.design] == [0, 1]
    assert all(trial.number >= 2 for trial in data.proposed)
    assert [one.place for one in data.further] == [(0, 1)]
    assert list(data.front) == front
    assert (0, 1) in [trial.place for trial in data.line]
    assert data.visible(())[1] == 97.0
    assert data.num_below(1000.0) == len(data.trials) == len(observed) - 1
    latency = replace(objectives[1], name="latency_ms")
    timed = observations([with_metrics(as_proposed(one.trial), latency_ms=1.0) for one in observed if one.index == 0])
    of_latency = front_data(timed, (), objectives, right=latency, design_trials=2, trained=points)
    assert of_latency.trained == ()
    assert of_latency.visible(timed)[1] == max(trial.metrics["accuracy"] for trial in timed)
