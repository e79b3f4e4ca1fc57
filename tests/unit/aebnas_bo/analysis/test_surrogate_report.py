import csv
from pathlib import Path

import numpy as np
import pytest
from botorch.exceptions.errors import ModelFittingError

from aebnas_bo.analysis import surrogate_report
from aebnas_bo.analysis.surrogate_report import surrogate_reports, write_surrogate_report
from aebnas_bo.estimation.estimate import OperatingPoint
from aebnas_bo.search.trial import Trial
from aebnas_bo.space.search_space import ChoiceParameter, ContinuousParameter, SearchSpace
from tests.made_trials import completed, with_further

SPACE = SearchSpace(
    (
        ChoiceParameter("depth", (1, 2, 3, 4), group="stage"),
        ChoiceParameter("kind", ("a", "b"), is_ordered=False, group="useless"),
        ContinuousParameter("threshold", 0.0, 1.0, "threshold"),
    )
)


def metrics(point) -> dict[str, float]:
    return {"accuracy": 50.0 + 8.0 * point["depth"] + point["threshold"], "average_macs": 1.0 + point["threshold"]}


def make_trials(count: int) -> list[Trial]:
    generator, trials = np.random.default_rng(0), []
    sems = {"accuracy": 0.3, "average_macs": 0.01}
    for number in range(count):
        point = SPACE.sample(generator)
        other = {**point, "threshold": 0.5}
        trial = completed(number, f"key{number}", point, metrics(point), sems=sems)
        trials.append(with_further(trial, OperatingPoint(metrics(other), sems, thresholds={"threshold": 0.5})))
    return trials


def read(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_quality_and_length_scales_are_reported(tmp_path: Path, objectives) -> None:
    write_surrogate_report(tmp_path / "surrogate.csv", make_trials(30), space=SPACE, objectives=objectives)
    rows = {
        (row["metric"], row["quantity"], row["of"]): float(row["value"]) for row in read(tmp_path / "surrogate.csv")
    }
    assert rows["accuracy", "leave_one_out_observations", ""] == 60
    assert rows["accuracy", "leave_one_out_r2", ""] > 0.95
    assert rows["accuracy", "leave_one_out_kendall_tau", ""] > 0.8
    assert 0.8 <= rows["accuracy", "leave_one_out_coverage", ""] <= 1.0
    assert rows["accuracy", "lengthscale", "stage"] < rows["accuracy", "lengthscale", "useless"]
    assert rows["average_macs", "lengthscale", "threshold"] < rows["average_macs", "lengthscale", "stage"]


def test_predictions_belong_to_their_trials_and_cover_as_much_as_is_said(objectives) -> None:
    trials = make_trials(20)
    accuracy, macs = surrogate_reports(trials, SPACE, objectives)
    assert (accuracy.metric, macs.metric) == ("accuracy", "average_macs")
    assert [p.observed.place for p in accuracy.predictions[:3]] == [(0, 0), (0, 1), (1, 0)]
    inside = [p.lower <= p.observed.metrics["accuracy"] <= p.upper for p in accuracy.predictions]
    assert accuracy.quality is not None
    assert sum(inside) / len(inside) == pytest.approx(accuracy.quality.coverage)
    errors = [abs(p.predicted - p.observed.metrics["average_macs"]) for p in macs.predictions]
    assert max(errors) < 0.2  # of a range of 1
    assert surrogate_reports(trials[:3], SPACE, objectives) == ()


@pytest.mark.parametrize("count", [0, 7])
def test_too_few_networks_leave_a_header(tmp_path: Path, objectives, count: int) -> None:
    write_surrogate_report(tmp_path / "surrogate.csv", make_trials(count), space=SPACE, objectives=objectives)
    assert (tmp_path / "surrogate.csv").read_text() == "metric,quantity,of,value\n"


@pytest.mark.parametrize("kind", [RuntimeError, ValueError, ModelFittingError])
def test_numerical_trouble_does_not_end_a_run(kind, tmp_path: Path, objectives, monkeypatch, caplog) -> None:
    def broken(_: object) -> None:
        raise kind("not positive definite")

    monkeypatch.setattr("aebnas_bo.analysis.surrogate_report.fit_surrogate", broken)
    write_surrogate_report(tmp_path / "surrogate.csv", make_trials(12), space=SPACE, objectives=objectives)
    assert read(tmp_path / "surrogate.csv") == []
    assert "not positive definite" in caplog.text


def test_of_very_many_further_operating_points_some_stand_for_all(objectives, monkeypatch) -> None:
    monkeypatch.setattr(surrogate_report, "MOST_FURTHER", 3)
    accuracy, _ = surrogate_reports(make_trials(9), SPACE, objectives)
    places = [prediction.observed.place for prediction in accuracy.predictions]
    assert [number for number, index in places if index == 0] == list(range(9))
    assert [number for number, index in places if index > 0] == [0, 4, 8]
