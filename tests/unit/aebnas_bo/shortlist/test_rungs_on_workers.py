from aebnas_bo.shortlist import rungs_on_workers as module
from aebnas_bo.shortlist.rungs import TrainsTogether, climb
from aebnas_bo.shortlist.rungs_on_workers import RungsOnWorkers

from .conftest import SKELETON, contender
from .test_rungs import ANSWERS, ANY


def test_a_rung_is_trained_together_before_its_tables_are_read(train_of) -> None:
    noted: list[tuple[str, int]] = []
    alone = train_of(ANSWERS, noted)
    rungs: list[list[tuple[str, int]]] = []

    class Together:
        def train_all(self, rung) -> None:
            assert not {(one.key, epochs) for one, epochs in rung} & set(noted)
            rungs.append([(one.key, epochs) for one, epochs in rung])

        def __call__(self, one, epochs):
            return alone(one, epochs)

    four = [contender(key, 8, ANY) for key in "dcba"]
    winners, rung_results = climb(four, [ANY], [(4, 2), (2, 5)], skeleton=SKELETON, train=Together())
    assert rungs == [[("d", 2), ("c", 2), ("b", 2), ("a", 2)], [("a", 5), ("b", 5)]]
    assert (winners, rung_results) == climb(four, [ANY], [(4, 2), (2, 5)], skeleton=SKELETON, train=alone)


def test_training_on_workers_trains_together() -> None:
    assert isinstance(RungsOnWorkers.__new__(RungsOnWorkers), TrainsTogether)
    assert module.ShortTrainings
