"""Predictions of the trials proposed next, against the truth and against the trials that the surrogate has seen."""

import numpy as np
import pytest

from aebnas_bo.search.search_loop import evaluate_trial
from aebnas_bo.search.trial import Trial
from benchmarks.problem import load_problem
from benchmarks.surrogate_quality import next_qualities


@pytest.mark.slow
def test_next_trials_are_predicted_from_the_earlier_ones() -> None:
    problem = load_problem("function/vehicle-safety")
    generator = np.random.default_rng(0)
    trials = [
        evaluate_trial(Trial(n, "", "RUNNING", problem.space.sample(generator)), problem.estimator, problem.objectives)
        for n in range(50)
    ]
    found = next_qualities(problem, trials[:30], trials[30:])
    assert set(found) == {"mass", "acceleration", "intrusion"}
    for one in found.values():
        assert one.num_observations == 20
        assert one.kendall_tau > 0.5
        assert one.coverage > 0.5
    fewer = next_qualities(problem, trials[:6], trials[30:])
    assert fewer["intrusion"].r2 < found["intrusion"].r2
