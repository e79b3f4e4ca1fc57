from aebnas_bo.estimation.estimate import OperatingPoint
from aebnas_bo.search.trial import Observation, Trial, as_proposed, observations

PROPOSED = OperatingPoint(
    {"accuracy": 50.0}, {"accuracy": 0.5}, {"exit1": 0.3, "final": 0.7}, {"threshold": 0.2, "tuned_threshold": 0.9}
)
FURTHER = OperatingPoint(
    {"accuracy": 60.0}, {"accuracy": 0.4}, {"exit1": 0.6, "final": 0.4}, {"threshold": 0.7, "tuned_threshold": 0.1}
)
DONE = Trial(1, "abc", "COMPLETED", {"width": 8, "threshold": 0.2}, points=(PROPOSED, FURTHER))


def test_completed_trials_are_observed_at_all_their_operating_points() -> None:
    trials = [Trial(0, "", "FAILED", {}), DONE, Trial(2, "", "RUNNING", {})]
    assert observations(trials) == [Observation(DONE), Observation(DONE, 1)]
    assert [one.place for one in observations(trials)] == [(1, 0), (1, 1)]
    assert observations([as_proposed(DONE)]) == [Observation(as_proposed(DONE))]


def test_an_observation_has_the_thresholds_and_figures_of_its_operating_point() -> None:
    proposed, further = observations([DONE])
    assert (proposed.number, proposed.key, further.number, further.key) == (1, "abc", 1, "abc")
    assert proposed.parameters == {"width": 8, "threshold": 0.2}
    assert further.parameters == {"width": 8, "threshold": 0.7}  # a threshold that is no parameter stays out
    assert (proposed.metrics, proposed.sems, proposed.point) == (PROPOSED.metrics, PROPOSED.sems, PROPOSED)
    assert (further.metrics, further.sems, further.point) == (FURTHER.metrics, FURTHER.sems, FURTHER)


def test_a_trial_has_the_metrics_of_its_proposed_thresholds_once_it_is_completed() -> None:
    assert (DONE.metrics, DONE.sems) == ({"accuracy": 50.0}, {"accuracy": 0.5})
    running = Trial(2, "", "RUNNING", {})
    assert (running.metrics, running.sems, as_proposed(running)) == ({}, {}, running)
