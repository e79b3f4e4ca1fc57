from dataclasses import replace

from aebnas_bo.analysis.hypervolume import hypervolume
from aebnas_bo.analysis.pareto import admissible, front_positions, nearest_to_admissible, pareto_front
from aebnas_bo.search.objectives import constraint
from aebnas_bo.search.trial import Observation, observations


def test_front_is_non_dominated_sorted_and_without_repeats(trials, objectives) -> None:
    assert [trial.number for trial in pareto_front(trials, objectives)] == [5, 0, 2, 1]


def test_no_completed_trial_no_front(trials, objectives) -> None:
    assert pareto_front([trials[3]], objectives) == []


def test_limits_leave_the_admissible_front(trials, objectives) -> None:
    limited = (replace(objectives[0], limit=60.0), replace(objectives[1], limit=3.5))
    assert [trial.number for trial in admissible(observations(trials), limited)] == [2, 4]
    assert [trial.number for trial in pareto_front(trials, limited)] == [2]
    assert hypervolume(trials, limited) == (70.0 - 10.0) * (5.0 - 3.0)


def test_nearest_to_admissible_misses_by_least(trials, objectives) -> None:
    limited = (replace(objectives[0], limit=95.0), replace(objectives[1], limit=1.0))
    # Trial 0 misses by 45/85 + 1/4, trial 1 by 5/85 + 3/4, trial 2 by 25/85 + 2/4, trial 5 by 90/85.
    assert nearest_to_admissible(trials, limited) == Observation(trials[0])
    assert pareto_front(trials, limited) == []
    assert nearest_to_admissible([], limited) is None


def test_rows_of_metrics_have_a_front_too(objectives) -> None:
    rows = [{"accuracy": accuracy, "average_macs": macs} for accuracy, macs in ((70.0, 3.0), (60.0, 3.5), (50.0, 2.0))]
    assert front_positions(rows, objectives) == [2, 0]
    assert front_positions(rows, (replace(objectives[0], limit=60.0), objectives[1])) == [0]
    assert front_positions([], objectives) == []


def test_a_constraint_is_no_dimension_of_the_front(timed, objectives) -> None:
    limited = (constraint("latency_ms <= 5"), *objectives)
    assert [one.number for one in pareto_front(timed, limited)] == [2, 1]  # 4 is faster, but dominated
    nearest = nearest_to_admissible(timed, (constraint("latency_ms <= 0.5"), *objectives))
    assert nearest is not None
    assert nearest.number == 4
