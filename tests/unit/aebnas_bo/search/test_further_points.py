import numpy as np

from aebnas_bo.estimation.estimate import OperatingPoint
from aebnas_bo.search.further_points import MOST_FURTHER, nearest_to_front, num_allowed
from aebnas_bo.search.objectives import Objective
from aebnas_bo.search.trial import Trial, observations

OBJECTIVES = (Objective("accuracy", True, 10.0), Objective("average_macs", False, 9.0))


def test_later_trials_may_always_use_some_but_never_all() -> None:
    allowed = [num_allowed(count) for count in range(5000)]
    assert allowed[0] == 0
    assert allowed[100] == 400  # four per network
    assert allowed[1000] - allowed[800] > 20
    assert allowed == sorted(allowed)
    assert allowed[-1] < MOST_FURTHER


def test_points_near_the_front_are_chosen_in_their_order() -> None:
    metrics = [(60.0, 2.0), (50.0, 3.0), (70.0, 4.0), (69.0, 5.0), (80.0, 6.0)]
    points = [
        OperatingPoint({"accuracy": a, "average_macs": c}, {"accuracy": 0.0, "average_macs": 0.0}) for a, c in metrics
    ]
    further = observations([Trial(0, "key", "COMPLETED", {}, points=tuple(points))])[1:]
    known = np.array([(a, -c) for a, c in metrics])
    chosen = nearest_to_front(further, known, OBJECTIVES, count=2)
    assert [one.metrics["accuracy"] for one in chosen] == [70.0, 80.0]
    assert nearest_to_front(further, known, OBJECTIVES, count=0) == []
    assert nearest_to_front(further, known, OBJECTIVES, count=4) == further
