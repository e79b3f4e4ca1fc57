"""The search loop with several workers, on a simulated cluster."""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from aebnas_bo.errors import LostTrialError, OutOfMemoryError, StopRequested, TooManyFailedTrialsError
from aebnas_bo.execution.executor import Outcome, Ticket
from aebnas_bo.execution.simulated_executor import AttemptCourse, SimulatedExecutor
from aebnas_bo.search.random_strategy import RandomStrategy
from aebnas_bo.search.replay import differing_trials, trials_as_seen
from aebnas_bo.search.search_loop import run_search
from aebnas_bo.search.study_record import StudyRecord
from aebnas_bo.search.surrogate_strategy import SurrogateStrategy
from aebnas_bo.search.trial import Trial
from aebnas_bo.search.trial_evaluation import Evaluation, evaluate_trial
from aebnas_bo.search.trial_store import TrialStore


@pytest.fixture
def new_store(tmp_path: Path, objectives):
    opened = []

    def make(name: str = "study") -> TrialStore:
        opened.append(TrialStore.create(tmp_path / f"{name}.db", StudyRecord("toy", 0, "f", "", objectives)))
        return opened[-1]

    yield make
    for store in opened:
        store.close()


def uneven(ticket: Ticket) -> AttemptCourse:
    """A trial takes 1 to 4 seconds, whatever its attempt."""
    return AttemptCourse(1.0 + 3.0 * np.random.default_rng(ticket.number).random())


def workers(estimator, objectives, count, course=uneven, ready_s=0.0) -> Evaluation:
    def work(trial: Trial) -> Trial:
        return evaluate_trial(trial, estimator, objectives)

    executor = SimulatedExecutor[Trial, Trial](work, count, course, lease_s=10.0, ready_s=ready_s)
    return Evaluation(estimator.search_space, executor)


def search(store, evaluation, settings, strategy=None, **options) -> list[Trial]:
    strategy = strategy or RandomStrategy(evaluation.search_space, 0)
    options = {"on_trial": lambda trials: None, **options}
    return run_search(store, strategy, evaluation, settings=settings, **options)


def timeless(trials) -> list[Trial]:
    return [replace(trial, generation_s=0.0, evaluation_s=0.0, worker="", attempt=0) for trial in trials]


def points(trials) -> list:
    return [dict(trial.parameters) for trial in trials]


def asynchronous(settings):
    return settings.model_copy(update={"proposals": "asynchronous"})


def test_a_batch_is_proposed_when_all_before_it_are_finished(new_store, estimator, objectives, settings) -> None:
    settings = settings.model_copy(update={"budget": 16, "design_trials": 8, "batch_size": 4})
    told = []

    class Watching(RandomStrategy):
        def propose(self, trials, count):
            told.append((len(trials), sum(trial.status == "RUNNING" for trial in trials), count))
            return super().propose(trials, count)

    search(new_store(), workers(estimator, objectives, 3), settings, Watching(estimator.search_space, 0))
    assert [one for one in told if one[0] >= 8] == [(8, 0, 4), (12, 0, 4)]
    assert max(running for _, running, _ in told) == 2  # the design is proposed while others run


def test_a_strategy_passed_from_python_sees_all_results_in_batches(new_store, estimator, objectives, settings) -> None:
    settings = settings.model_copy(update={"strategy": "given"})

    class Watching(RandomStrategy):
        def propose(self, trials, count):
            assert all(trial.status == "COMPLETED" for trial in trials)
            return super().propose(trials, count)

    strategy = Watching(estimator.search_space, 0)
    assert len(search(new_store(), workers(estimator, objectives, 3), settings, strategy)) == settings.budget


@pytest.mark.slow
@pytest.mark.parametrize("has_further", [False, True])
def test_the_number_of_workers_changes_no_trial_in_batches(
    has_further, new_store, estimator, objectives, settings
) -> None:
    estimator.has_further = has_further
    settings = settings.model_copy(update={"budget": 15, "batch_size": 4})
    found = []
    for count in (None, 1, 4):
        strategy = SurrogateStrategy(estimator.search_space, objectives, settings, seed=0)
        where = estimator if count is None else workers(estimator, objectives, count)
        found.append(search_with(new_store(str(count)), where, settings, strategy))
    assert timeless(found[0]) == timeless(found[1]) == timeless(found[2])
    assert [trial.attempt for trial in found[2]] == [1] * 15


def search_with(store, where, settings, strategy) -> list[Trial]:
    return run_search(store, strategy, where, settings=settings, on_trial=lambda trials: None)


def test_asynchronous_trials_store_what_was_running(new_store, estimator, objectives, settings) -> None:
    seconds = [4.0, 1.0, 1.5, 1.0, 1.0, 1.0, *([1.0] * 10)]
    evaluation = workers(estimator, objectives, 2, lambda ticket: AttemptCourse(seconds[ticket.number]))
    store = new_store()
    trials = search(store, evaluation, asynchronous(settings).model_copy(update={"budget": 6}))
    # 0 runs until 4.0; 1 ends at 1.0, 2 at 2.5, 3 at 3.5, and 4 begins then
    assert [trial.pending for trial in trials] == [(), (0,), (0,), (0,), (0,), (4,)]
    assert store.trials() == trials
    assert evaluation.executor.now == 5.0


def test_no_worker_waits_in_an_asynchronous_study(new_store, estimator, objectives, settings) -> None:
    settings = settings.model_copy(update={"budget": 40, "max_failed_trials": 0})
    batches = settings.model_copy(update={"batch_size": 4})
    spans = []
    for name, chosen in (("batch", batches), ("async", asynchronous(settings))):
        evaluation = workers(estimator, objectives, 4)
        search(new_store(name), evaluation, chosen)
        spans.append((evaluation.executor.now, evaluation.executor.busy_s / 4))
    assert spans[1][0] < 0.85 * spans[0][0]
    assert spans[1][0] < 1.1 * spans[1][1]


@pytest.mark.slow
@pytest.mark.parametrize("has_further", [False, True])
def test_an_asynchronous_study_replays_exactly(has_further, new_store, estimator, objectives, settings) -> None:
    estimator.has_further = has_further
    settings = asynchronous(settings).model_copy(update={"budget": 20})
    strategy = SurrogateStrategy(estimator.search_space, objectives, settings, seed=0)
    estimator.fail_at = {5, 13}
    store = new_store()
    trials = search(store, workers(estimator, objectives, 4), settings, strategy)
    assert len({estimator.search_space.key(trial.parameters) for trial in trials}) == 20
    assert not any(trial.reason for trial in trials if trial.status == "COMPLETED")  # no fallback
    assert any(len(trial.pending) == 3 for trial in trials[8:])
    stored = store.trials()
    assert differing_trials(new_strategy(estimator, objectives, settings), stored, settings) == []
    # a proposal made by a strategy that was not there before
    for number in (11, 17):
        again = new_strategy(estimator, objectives, settings).propose(trials_as_seen(stored, number), 1)
        assert again[0].parameters == stored[number].parameters, number
    other = [replace(trial, pending=()) for trial in stored]
    assert differing_trials(new_strategy(estimator, objectives, settings), other, settings)  # pending points matter


def new_strategy(estimator, objectives, settings) -> SurrogateStrategy:
    return SurrogateStrategy(estimator.search_space, objectives, settings, seed=0)


@pytest.mark.slow
def test_many_workers_go_on_with_the_design_until_results_are_there(new_store, estimator, objectives, settings) -> None:
    settings = asynchronous(settings).model_copy(update={"budget": 22})
    store = new_store()
    trials = search(store, workers(estimator, objectives, 12), settings, new_strategy(estimator, objectives, settings))
    assert not any(trial.reason for trial in trials)  # neither failed nor fell back
    assert len({estimator.search_space.key(trial.parameters) for trial in trials}) == 22
    assert differing_trials(new_strategy(estimator, objectives, settings), trials, settings) == []


def dying(tickets) -> object:
    return lambda ticket: replace(uneven(ticket), dies_after=0.5 if ticket in tickets else None)


def test_a_trial_of_a_lost_worker_is_given_to_another(new_store, estimator, objectives, settings) -> None:
    lost = {Ticket(3, 1), Ticket(3, 2), Ticket(9, 1)}
    store = new_store()
    trials = search(store, workers(estimator, objectives, 3, dying(lost)), settings)
    assert [trial.status for trial in trials] == ["COMPLETED"] * settings.budget
    assert [trial.attempt for trial in trials] == [{3: 3, 9: 2}.get(number, 1) for number in range(settings.budget)]
    assert len(estimator.calls) == settings.budget  # nothing was evaluated twice
    assert store.trials() == trials


def test_a_trial_that_loses_too_many_workers_fails(new_store, estimator, objectives, settings) -> None:
    lost = {Ticket(3, attempt) for attempt in (1, 2, 3)}
    trials = search(new_store(), workers(estimator, objectives, 3, dying(lost)), settings)
    assert [trial.number for trial in trials if trial.status == "FAILED"] == [3]
    assert trials[3].reason == "3 workers lost with it, the last one: worker died"


def test_the_result_of_a_lost_worker_is_refused(new_store, estimator, objectives, settings, caplog) -> None:
    late = {Ticket(2, 1): AttemptCourse(25.0, is_silent=True)}
    finished = []
    trials = search(
        new_store(),
        workers(estimator, objectives, 2, lambda ticket: late.get(ticket, AttemptCourse(3.0))),
        settings.model_copy(update={"budget": 40}),
        on_trial=lambda trials: finished.append([trial.number for trial in trials]),
    )
    assert "trial 2: a late answer" in caplog.text
    assert trials[2].attempt == 2
    assert len(trials) == 40
    assert sum(2 in numbers for numbers in finished[:1]) == 0
    assert [trial.status for trial in trials] == ["COMPLETED"] * 40


def test_the_store_refuses_a_result_of_an_earlier_attempt(new_store, estimator, objectives) -> None:
    store = new_store()
    store.add_running(Trial(0, "", "RUNNING", estimator.search_space.sample(np.random.default_rng(0))))
    first = store.claim("one", 60.0, number=0)
    store.renew(0, 1, 0.0)
    second = store.claim("two", 60.0, number=0)
    with pytest.raises(LostTrialError, match="attempt 2 by two"):
        store.finish(evaluate_trial(first, estimator, objectives))
    store.finish(evaluate_trial(second, estimator, objectives))


@pytest.mark.slow
def test_a_killed_proposer_goes_on_with_equal_trials_in_batches(new_store, estimator, objectives, settings) -> None:
    settings = settings.model_copy(update={"budget": 15, "batch_size": 3})
    whole = search(
        new_store("whole"), workers(estimator, objectives, 4), settings, new_strategy(estimator, objectives, settings)
    )
    for killed_after in (4, 9, 12):
        store = new_store(f"killed{killed_after}")

        def stop(trials, killed_after=killed_after) -> None:
            if len(trials) == killed_after:
                raise StopRequested(9)

        strategy = new_strategy(estimator, objectives, settings)
        with pytest.raises(StopRequested):
            search(store, workers(estimator, objectives, 4), settings, strategy, on_trial=stop)
        assert any(trial.status == "RUNNING" for trial in store.trials())
        resumed = search(
            store, workers(estimator, objectives, 2), settings, new_strategy(estimator, objectives, settings)
        )
        assert timeless(resumed) == timeless(whole), killed_after


def test_a_resumed_asynchronous_study_repeats_running_trials(new_store, estimator, objectives, settings) -> None:
    settings, store = asynchronous(settings), new_store()

    def stop(trials) -> None:
        if len(trials) == 6:
            raise StopRequested(9)

    with pytest.raises(StopRequested):
        search(store, workers(estimator, objectives, 4), settings, on_trial=stop)
    before = store.trials()
    assert sum(trial.status == "RUNNING" for trial in before) == 3
    trials = search(store, workers(estimator, objectives, 4), settings)
    assert points(trials[: len(before)]) == points(before)
    assert [trial.pending for trial in trials[: len(before)]] == [trial.pending for trial in before]
    assert differing_trials(RandomStrategy(estimator.search_space, 0), trials, settings) == []


def test_a_search_waits_for_workers_that_are_not_ready(new_store, estimator, objectives, settings) -> None:
    trials = search(new_store(), workers(estimator, objectives, 2, ready_s=3.5), settings)
    assert len(trials) == settings.budget


def test_failures_stop_a_search_on_workers(new_store, estimator, objectives, settings) -> None:
    estimator.fail_at = set(range(20))
    with pytest.raises(TooManyFailedTrialsError, match="made to fail"):
        search(new_store(), workers(estimator, objectives, 4), settings)


def test_the_time_ends_a_search_and_running_trials_end_first(new_store, estimator, objectives, settings) -> None:
    evaluation = workers(estimator, objectives, 3)
    trials = search(new_store(), evaluation, settings, is_time_up=lambda: evaluation.executor.now > 4.0)
    assert 3 < len(trials) < settings.budget
    assert all(trial.status == "COMPLETED" for trial in trials)


def test_a_machine_failure_is_tried_on_other_workers_and_then_raised(
    new_store, estimator, objectives, settings
) -> None:

    class Failing(SimulatedExecutor):
        def wait(self, timeout_s):
            return [
                Outcome(one.ticket, one.worker, error=OutOfMemoryError("out of memory"))
                for one in super().wait(timeout_s)
            ]

    executor = Failing(lambda trial: trial, 2, uneven)
    store = new_store()
    with pytest.raises(OutOfMemoryError):
        search(store, Evaluation(estimator.search_space, executor), settings)
    assert max(trial.attempt for trial in store.trials()) == 3
    assert {trial.status for trial in store.trials()} == {"RUNNING"}


def test_nothing_hangs_if_a_worker_never_answers(new_store, estimator, objectives, settings) -> None:
    silent = {Ticket(0, 1): AttemptCourse(math.inf, is_silent=True)}
    evaluation = workers(estimator, objectives, 2, lambda ticket: silent.get(ticket, AttemptCourse(1.0)))
    trials = search(new_store(), evaluation, settings.model_copy(update={"budget": 4}))
    assert all(trial.status == "COMPLETED" for trial in trials)
    assert evaluation.executor.now < 10.0 + 4.0
