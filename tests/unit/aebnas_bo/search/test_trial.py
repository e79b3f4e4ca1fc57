from aebnas_bo.estimation.estimate import FurtherSetting
from aebnas_bo.search.trial import Observation, Trial, observations

FURTHER = FurtherSetting({"threshold": 0.7}, {"accuracy": 60.0}, {"accuracy": 0.4}, {"exit1_rate": 0.6})
DONE = Trial(
    1, "abc", "COMPLETED", {"width": 8, "threshold": 0.2}, metrics={"accuracy": 50.0}, sems={"accuracy": 0.5},
    details={"exit1_rate": 0.3}, further=(FURTHER,),
)  # fmt: skip


def test_completed_trials_are_observed_at_all_their_operating_points() -> None:
    trials = [Trial(0, "", "FAILED", {}), DONE, Trial(2, "", "RUNNING", {})]
    assert observations(trials) == [Observation(DONE), Observation(DONE, 1)]
    assert [one.place for one in observations(trials)] == [(1, 0), (1, 1)]


def test_an_observation_has_the_thresholds_and_figures_of_its_operating_point() -> None:
    proposed, further = observations([DONE])
    assert (proposed.number, proposed.key, further.number, further.key) == (1, "abc", 1, "abc")
    assert proposed.parameters == {"width": 8, "threshold": 0.2}
    assert further.parameters == {"width": 8, "threshold": 0.7}
    assert (proposed.metrics, proposed.sems, proposed.details) == (DONE.metrics, DONE.sems, DONE.details)
    assert (further.metrics, further.sems, further.details) == (FURTHER.metrics, FURTHER.sems, FURTHER.details)
