import io
import logging
import sqlite3
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from aebnas_bo.early_exit.calibrated_output import Calibration
from aebnas_bo.errors import (
    CorruptStateError,
    OutOfMemoryError,
    SpaceExhaustedError,
    StopRequested,
    StorageError,
    TooManyFailedTrialsError,
)
from aebnas_bo.estimation.estimate import Estimate, Measurement, OperatingPoint
from aebnas_bo.search.objectives import Objective
from aebnas_bo.search.random_strategy import RandomStrategy
from aebnas_bo.search.search_loop import run_search
from aebnas_bo.search.strategy import Proposal, batch_start
from aebnas_bo.search.study_record import StudyRecord
from aebnas_bo.search.trial_store import TrialStore
from aebnas_bo.space.search_space import ChoiceParameter, SearchSpace


class Counting:
    """Proposes sample after sample, a pure function of the trial's number."""

    def __init__(self, space) -> None:
        self.space, self.asked = space, []

    def propose(self, trials, count) -> list[Proposal]:
        numbers = list(range(len(trials), len(trials) + count))
        self.asked += numbers
        assert all(trial.status != "RUNNING" for trial in trials)
        return [Proposal(self.space.sample(np.random.default_rng(number))) for number in numbers]


@pytest.fixture
def store(tmp_path: Path, objectives):
    record = StudyRecord("toy", 0, "f", "", objectives)
    with TrialStore.create(tmp_path / "study.db", record) as store:
        yield store


def test_budget_counts_every_trial(store, estimator, objectives, settings) -> None:
    seen: list[int] = []
    trials = run_search(
        store,
        Counting(estimator.search_space),
        estimator,
        settings=settings,
        on_trial=lambda t: seen.append(len(t)),
    )
    assert len(trials) == len(estimator.calls) == settings.budget
    assert seen == list(range(settings.budget + 1))
    assert store.trials() == trials
    assert all(t.key and t.status == "COMPLETED" for t in trials)


def test_running_trial_is_evaluated_again_at_its_point(store, estimator, objectives, settings) -> None:
    strategy = Counting(estimator.search_space)

    def interrupted(point):
        raise StopRequested(15)

    original, estimator.estimate = estimator.estimate, interrupted
    with pytest.raises(StopRequested):
        run_search(store, strategy, estimator, settings=settings, on_trial=lambda t: None)
    [running] = store.trials()
    assert running.status == "RUNNING"
    estimator.estimate = original
    trials = run_search(store, strategy, estimator, settings=settings, on_trial=lambda t: None)
    assert trials[0].parameters == running.parameters
    assert strategy.asked == list(range(settings.budget))  # number 0 was not proposed a second time


def test_failures_are_rows_with_reasons_until_too_many(store, estimator, objectives, settings) -> None:
    estimator.fail_at = {1, 3}
    trials = run_search(store, Counting(estimator.search_space), estimator, settings=settings, on_trial=lambda t: None)
    assert [t.number for t in trials if t.status == "FAILED"] == [1, 3]
    assert trials[1].reason == "RuntimeError: made to fail"


def test_too_many_failures_stop_the_search(store, estimator, objectives, settings) -> None:
    estimator.fail_at = set(range(20))
    with pytest.raises(TooManyFailedTrialsError, match=r"3 of 3 trials failed.*made to fail"):
        run_search(store, Counting(estimator.search_space), estimator, settings=settings, on_trial=lambda t: None)


def test_a_search_whose_trials_failed_goes_on_as_the_error_says(store, estimator, objectives, settings) -> None:
    estimator.fail_at = {0, 1, 2}
    strategy = Counting(estimator.search_space)
    with pytest.raises(TooManyFailedTrialsError, match=r"resume with a larger search\.max_failed_trials"):
        run_search(store, strategy, estimator, settings=settings, on_trial=lambda t: None)
    more = settings.model_copy(update={"max_failed_trials": 3})
    assert len(run_search(store, strategy, estimator, settings=more, on_trial=lambda t: None)) == settings.budget


def test_a_space_that_is_used_up_ends_the_search(store, estimator, objectives, settings) -> None:
    estimator.search_space = SearchSpace((ChoiceParameter("a", (1, 2)), ChoiceParameter("b", (1, 2))))
    estimator.metrics = lambda point: (50.0 + point["a"], float(point["b"]))
    estimator.further_thresholds = lambda point: ()
    strategy = RandomStrategy(estimator.search_space, seed=0)
    with pytest.raises(SpaceExhaustedError, match="all 4 points of the search space have a trial") as caught:
        run_search(store, strategy, estimator, settings=settings, on_trial=lambda t: None)
    assert len(store.trials()) == 4
    assert "set search.budget = 4 to end" in str(caught.value)
    fewer = settings.model_copy(update={"budget": 4})
    assert len(run_search(store, strategy, estimator, settings=fewer, on_trial=lambda t: None)) == 4


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_non_finite_metrics_fail_a_trial(bad, store, estimator, objectives, settings) -> None:
    def estimate(point):
        return Estimate("k", {"accuracy": Measurement(bad), "average_macs": Measurement(1.0)})

    estimator.estimate = estimate
    settings = settings.model_copy(update={"budget": 1})
    [trial] = run_search(store, Counting(estimator.search_space), estimator, settings=settings, on_trial=lambda t: None)
    assert trial.status == "FAILED"
    assert f"accuracy is {bad}" in trial.reason


def test_missing_metric_fails_a_trial(store, estimator, objectives, settings) -> None:
    estimator.estimate = lambda point: Estimate("k", {"accuracy": Measurement(1.0)})
    settings = settings.model_copy(update={"budget": 1})
    [trial] = run_search(store, Counting(estimator.search_space), estimator, settings=settings, on_trial=lambda t: None)
    assert trial == replace(trial, status="FAILED", reason="average_macs was not measured")


def test_non_finite_details_fail_a_trial(store, estimator, objectives, settings) -> None:
    metrics = {"accuracy": Measurement(60.0), "average_macs": Measurement(2.0)}
    further = OperatingPoint({"accuracy": 50.0, "average_macs": 1.0}, {"accuracy": 0.1, "average_macs": 0.0},
                             {"exit1": float("inf")}, {"exit1_threshold": 0.5})  # fmt: skip
    estimator.estimate = lambda point: Estimate("k", metrics, {"exit1": float("nan")}, further=(further,))
    settings = settings.model_copy(update={"budget": 1})
    [trial] = run_search(store, Counting(estimator.search_space), estimator, settings=settings, on_trial=lambda t: None)
    assert trial.reason == "exit1_rate is nan; operating point 1: exit1_rate is inf"


def test_numbers_of_numpy_and_torch_are_taken(store, estimator, objectives, settings) -> None:
    single = np.float32(0.5)
    metrics = {"accuracy": Measurement(torch.tensor(60.0), single), "average_macs": Measurement(np.int64(2))}
    numbers = {"accuracy": single, "average_macs": single}
    rates = {"exit1": single, "final": torch.tensor(0.5)}
    further = OperatingPoint(numbers, numbers, rates, {"exit1_threshold": single})
    calibrations = {"exit1": Calibration(single, single, single)}
    estimator.estimate = lambda point: Estimate("k", metrics, rates, {}, calibrations, (further,))
    settings = settings.model_copy(update={"budget": 1})
    [trial] = run_search(store, Counting(estimator.search_space), estimator, settings=settings, on_trial=lambda t: None)
    assert trial.metrics == {"accuracy": 60.0, "average_macs": 2.0}
    assert trial.points[0].calibrations == {"exit1": Calibration(0.5, 0.5, 0.5)}
    assert store.trials() == [trial]


@pytest.mark.parametrize(
    ("further", "expected"),
    [
        (OperatingPoint({"accuracy": 50.0, "average_macs": 1.0}, {"accuracy": 0.1}),
         "operating point 1: average_macs is 1.0 with standard error nan"),
        (OperatingPoint({"accuracy": 50.0}, {"accuracy": 0.1}),
         "operating point 1: average_macs was not measured"),
        (OperatingPoint({"accuracy": 50.0, "average_macs": 1.0}, {"accuracy": 0.1, "average_macs": 0.0},
                        thresholds={"exit1_threshold": 7.0}), "exit1_threshold is 7.0, expected a number in [0, 1]"),
        (OperatingPoint({"accuracy": 50.0, "average_macs": 1.0}, {"accuracy": 0.1, "average_macs": 0.0},
                        thresholds={"exit9_threshold": 0.5}), "exit9_threshold: no such parameter in this space"),
    ],
)  # fmt: skip
def test_bad_further_settings_fail_a_trial(further, expected, store, estimator, objectives, settings) -> None:
    metrics = {"accuracy": Measurement(60.0), "average_macs": Measurement(2.0)}
    estimator.estimate = lambda point: Estimate("k", metrics, further=(further,))
    settings = settings.model_copy(update={"budget": 1})
    [trial] = run_search(store, Counting(estimator.search_space), estimator, settings=settings, on_trial=lambda t: None)
    assert trial.status == "FAILED"
    assert expected in trial.reason


def test_batches_follow_the_design_and_resume_in_step(store, estimator, objectives, settings, tmp_path) -> None:
    settings = settings.model_copy(update={"budget": 14, "design_trials": 5, "batch_size": 4})
    told = []

    class Batches(Counting):
        def propose(self, trials, count):
            told.append((len(trials), count))
            return super().propose(trials, count)

    whole = run_search(store, Batches(estimator.search_space), estimator, settings=settings, on_trial=lambda t: None)
    assert told == [(0, 1), (1, 1), (2, 1), (3, 1), (4, 1), (5, 4), (9, 4), (13, 4)]
    told.clear()
    with TrialStore.create(tmp_path / "other.db", store.study) as other:
        for budget in (11, 14):  # interrupted within a batch
            settings = settings.model_copy(update={"budget": budget})
            run_search(other, Batches(estimator.search_space), estimator, settings=settings, on_trial=lambda t: None)
        assert [t.parameters for t in other.trials()] == [t.parameters for t in whole]
    assert told[-3:] == [(9, 4), (9, 4), (13, 4)]  # the batch is proposed again, its first two trials are there


def test_a_batch_starts_where_it_is_counted_from() -> None:
    assert [batch_start(number, 3, 4) for number in range(12)] == [0, 1, 2, 3, 3, 3, 3, 7, 7, 7, 7, 11]


def test_the_time_ends_the_search_once_a_trial_is_completed(store, estimator, objectives, settings) -> None:
    estimator.fail_at = {0, 1}
    trials = run_search(
        store,
        Counting(estimator.search_space),
        estimator,
        settings=settings,
        on_trial=lambda _: None,
        is_time_up=lambda: True,
    )
    assert [trial.status for trial in trials] == ["FAILED", "FAILED", "COMPLETED"]


def test_the_search_goes_on_while_there_is_time(store, estimator, objectives, settings) -> None:
    answers = iter([False, False, False, True])
    trials = run_search(
        store,
        Counting(estimator.search_space),
        estimator,
        settings=settings,
        on_trial=lambda _: None,
        is_time_up=lambda: next(answers),
    )
    assert len(trials) == 3


class UnprintableError(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no text")


class NoTextError(Exception):
    __str__ = lambda self: 3  # noqa: E731


def returning(*fields, **named):
    return lambda point: Estimate(*fields, **named)


SOUND = {"accuracy": Measurement(60.0), "average_macs": Measurement(2.0)}


def raising(error: BaseException):
    def estimate(point):
        raise error

    return estimate


@pytest.fixture
def debug_log(monkeypatch) -> io.StringIO:
    """Take the log of the search, tracebacks included; pytest cannot pass some of them between processes."""
    log, logger = io.StringIO(), logging.getLogger("aebnas_bo.search.search_loop")
    monkeypatch.setattr(logger, "propagate", False)
    monkeypatch.setattr(logger, "level", logging.DEBUG)
    monkeypatch.setattr(logger, "handlers", [logging.StreamHandler(log)])
    return log


@pytest.mark.parametrize(
    ("estimate", "reason"),
    [
        (raising(UnprintableError()), "UnprintableError: its text cannot be shown, which raises RuntimeError"),
        (raising(NoTextError()), "NoTextError: its text cannot be shown, which raises TypeError"),
        (raising(ValueError("a\nb\0\ud800\x1b[2J")), r"ValueError: a b\x00\ud800\x1b[2J"),
        (raising(ValueError("x" * 10_000)), "ValueError: " + "x" * 1988 + " ..."),
        (raising(RecursionError()), "RecursionError"),
        (lambda point: None, "the estimator must return an Estimate, got NoneType"),
        (lambda point: {"accuracy": 60.0}, "the estimator must return an Estimate, got dict"),
        (returning(None, SOUND), "key must be a text of 1 to 64 printable characters, got None"),
        (returning("k" * 65, SOUND), "key must be a text of 1 to 64 printable characters, got 'kkk"),
        (returning("\ud800", SOUND), "key must be a text of 1 to 64 printable characters"),
        (returning("k", {"accuracy": 60.0}), "metrics must be a mapping of names to Measurement"),
        (returning("k", None), "metrics must be a mapping of names to Measurement"),
        (returning("k", {}), "accuracy was not measured; average_macs was not measured"),
        (returning("k", {**SOUND, "accuracy": Measurement(1e300)}), "accuracy is 1e+300, expected a number"),
        (returning("k", {**SOUND, "accuracy": Measurement(-0.1)}), "accuracy is -0.1, expected a number"),
        (returning("k", {**SOUND, "accuracy": Measurement(9.0, -1.0)}), "accuracy has the standard error -1.0"),
        (returning("k", {**SOUND, "average_macs": Measurement(-5.0)}), "average_macs is -5.0, expected a num"),
        (returning("k", {**SOUND, "average_macs": Measurement("2")}), "average_macs must be a number, got '2'"),
        (returning("k", {**SOUND, "accuracy": Measurement(None)}), "accuracy must be a number, got None"),
        (returning("k", {**SOUND, "accuracy": Measurement(True)}), "accuracy must be a number, got True"),
        (returning("k", {**SOUND, "accuracy": Measurement([1.0])}), "accuracy must be a single number, got list"),
        (returning("k", {**SOUND, "accuracy": Measurement(np.ones(3))}), "accuracy must be a single number"),
        (returning("k", {**SOUND, "accuracy": Measurement(torch.ones(3))}), "accuracy must be a single number"),
        (returning("k", {**SOUND, "accuracy": Measurement(10**400)}), "accuracy must be a single number"),
        (returning("k", {**SOUND, 3: Measurement(1.0)}), "metrics must be a mapping of names to numbers"),
        (returning("k", SOUND, {"exit1": 0.5}), "exit rates sum to 0.5, expected 1"),
        (returning("k", SOUND, {"exit1": 1.5, "final": -0.5}), "exit1_rate is 1.5, expected a number in [0, 1]"),
        (returning("k", SOUND, [0.5]), "exit_rates must be a mapping of names to numbers"),
        (returning("k", SOUND, {}, {"exit1_threshold": 2.0}), "exit1_threshold is 2.0, expected a number in"),
        (returning("k", SOUND, calibrations={"exit1": 1.0}), "calibrations must be a mapping of names to"),
        (returning("k", SOUND, calibrations={"exit1": Calibration(-1.0, 0.0, 0.0)}), "temperature must be pos"),
        (returning("k", SOUND, further=None), "further must be a tuple of OperatingPoint"),
        (returning("k", SOUND, further=(None,)), "further must be a tuple of OperatingPoint"),
    ],
    ids=lambda value: ascii(value)[1:40] if isinstance(value, str) else "estimate",
)  # fmt: skip
def test_whatever_an_estimator_does_fails_a_trial_with_a_reason(
    estimate, reason, store, estimator, settings, debug_log
) -> None:
    estimator.estimate = estimate
    settings = settings.model_copy(update={"budget": 1})
    [trial] = run_search(store, Counting(estimator.search_space), estimator, settings=settings, on_trial=lambda t: None)
    assert (trial.status, trial.points, trial.key) == ("FAILED", (), "")
    assert reason in trial.reason
    assert store.trials() == [trial]


def test_an_estimator_that_changes_its_point_changes_no_trial(store, estimator, settings) -> None:
    def estimate(point):
        point.clear()
        return Estimate("k", SOUND)

    estimator.estimate = estimate
    settings = settings.model_copy(update={"budget": 1})
    [trial] = run_search(store, Counting(estimator.search_space), estimator, settings=settings, on_trial=lambda t: None)
    assert trial.parameters == estimator.search_space.sample(np.random.default_rng(0))


def test_bounds_of_an_objective_count(store, estimator, objectives, settings, tmp_path) -> None:
    estimator.estimate = lambda point: Estimate("k", {**SOUND, "loss": Measurement(-3.0)})
    settings = settings.model_copy(update={"budget": 1})
    loss = Objective("loss", False, reference=0.0, bounds=(-4.0, 0.0))
    for number, (objective, status) in enumerate(
        [(loss, "COMPLETED"), (replace(loss, bounds=None), "FAILED"), (replace(loss, possible=(-2.0, 0.0)), "FAILED")]
    ):
        record = replace(store.study, objectives=(*objectives, objective))
        with TrialStore.create(tmp_path / f"{number}.db", record) as other:
            [trial] = run_search(
                other, Counting(estimator.search_space), estimator, settings=settings, on_trial=lambda t: None
            )
        assert trial.status == status


def test_a_study_of_another_space_is_not_gone_on_with(store, estimator, settings) -> None:
    strategy = Counting(estimator.search_space)
    run_search(store, strategy, estimator, settings=settings, on_trial=lambda t: None)
    smaller = SearchSpace(estimator.search_space.parameters[:-1])
    estimator.search_space = smaller
    with pytest.raises(CorruptStateError, match=r"trial 0 does not belong to its space .exit1_threshold: no such"):
        run_search(store, strategy, estimator, settings=settings, on_trial=lambda t: None)


@pytest.mark.parametrize(
    "error", [OSError(28, "No space left on device"), MemoryError(), sqlite3.OperationalError("x")]
)
def test_a_failure_of_the_machine_stops_the_search_and_fails_no_trial(
    error, store, estimator, objectives, settings
) -> None:
    def fail(point):
        raise error

    strategy = Counting(estimator.search_space)
    original, estimator.estimate = estimator.estimate, fail
    with pytest.raises((StorageError, OutOfMemoryError)):
        run_search(store, strategy, estimator, settings=settings, on_trial=lambda t: None)
    assert [trial.status for trial in store.trials()] == ["RUNNING"]
    estimator.estimate = original
    trials = run_search(store, strategy, estimator, settings=settings, on_trial=lambda t: None)
    assert {trial.status for trial in trials} == {"COMPLETED"}
