from aebnas_bo.analysis.pareto import pareto_front


def test_front_is_non_dominated_sorted_and_without_repeats(trials, objectives) -> None:
    assert [trial.number for trial in pareto_front(trials, objectives)] == [5, 0, 2, 1]


def test_no_completed_trial_no_front(trials, objectives) -> None:
    assert pareto_front([trials[3]], objectives) == []
