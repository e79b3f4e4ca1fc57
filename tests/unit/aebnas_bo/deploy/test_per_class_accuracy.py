import pytest
import torch
from pydantic import ValidationError

from aebnas_bo.deploy.per_class_accuracy import ClassPredictions, Confusion, class_predictions, confusion_text

LABELS = torch.tensor([0, 0, 0, 0, 1, 1, 2, 2, 2, 2, 2])
PREDICTIONS = torch.tensor([0, 0, 1, 2, 1, 1, 0, 0, 0, 2, 1])


def test_class_predictions_are_counted_by_class_and_pair() -> None:
    found = class_predictions(LABELS, PREDICTIONS, 4)
    assert (found.images, found.correct) == ((4, 2, 5, 0), (2, 2, 1, 0))
    assert [(one.label, one.predicted, one.images) for one in found.confusions] == [
        (2, 0, 3), (0, 1, 1), (0, 2, 1), (2, 1, 1),
    ]  # fmt: skip
    assert found.matrix() == [[2, 1, 1, 0], [0, 2, 0, 0], [3, 1, 1, 0], [0, 0, 0, 0]]
    assert [found.accuracy(label) for label in range(4)] == [50.0, 100.0, 20.0, None]
    assert found.worst_first() == [2, 0, 1]
    assert [one.predicted for one in found.confusions_of(2)] == [0, 1]


def test_class_predictions_know_the_largest_class() -> None:
    found = class_predictions(LABELS, PREDICTIONS, 4)
    assert found.largest_class == 2
    assert found.largest_class_accuracy == pytest.approx(100.0 * 5 / 11)


def test_confusion_text_names_both_classes_and_the_share() -> None:
    found = class_predictions(LABELS, PREDICTIONS, 4)
    assert confusion_text(found.confusions[0], found, ("cat", "dog", "emu", "fox")) == "emu taken for cat: 3 of 5"


@pytest.mark.parametrize(
    ("images", "right", "confusions", "problem"),
    [
        ((2, 1), (1, 1), (), "must add up"),
        ((0, 0), (0, 0), (), "must add up"),
        ((), (), (), "must add up"),
        ((2, 1), (1, 1, 0), ((0, 1, 1),), "argument"),
        ((2, 1), (1, 1), ((0, 0, 1),), "invalid confusion of class 0 with class 0"),
        ((2, 1), (1, 1), ((0, 2, 1),), "invalid confusion of class 0 with class 2"),
    ],
)
def test_class_predictions_that_contradict_themselves_are_refused(images, right, confusions, problem) -> None:
    pairs = tuple(Confusion(label=one[0], predicted=one[1], images=one[2]) for one in confusions)
    with pytest.raises(ValidationError, match=problem):
        ClassPredictions(images=images, correct=right, confusions=pairs)


def test_predictions_in_files_of_earlier_versions_are_read() -> None:
    found = class_predictions(LABELS, PREDICTIONS, 4)
    earlier = found.model_dump_json().replace('"correct"', '"right"').replace('"predicted"', '"answer"')
    assert '"answer"' in earlier
    assert ClassPredictions.model_validate_json(earlier) == found
