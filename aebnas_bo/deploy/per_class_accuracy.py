"""Predictions of a network by class: images, correct predictions and confusions.

Legend: `B` images, `K` classes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Self

import torch
from pydantic import AliasChoices, Field, model_validator
from torch import Tensor

from aebnas_bo.storage.frozen_model import FrozenModel

Count = Annotated[int, Field(ge=0)]


class Confusion(FrozenModel):
    """Images of one class that were classified as another.

    Args:
        label: True class, from 0.
        predicted: Predicted class, from 0.
        images: Number of images.
    """

    label: Count
    predicted: Annotated[Count, Field(validation_alias=AliasChoices("predicted", "answer"))]  # in earlier files
    images: Annotated[int, Field(ge=1)]


class ClassPredictions(FrozenModel):
    """Predictions by class at the network's thresholds.

    Args:
        images: Number of images of each class, `K`.
        correct: Number of correct predictions of each class, `K`.
        confusions: Pairs of true class and wrong prediction, most frequent first.
    """

    images: tuple[Count, ...]
    correct: Annotated[tuple[Count, ...], Field(validation_alias=AliasChoices("correct", "right"))]  # in earlier files
    confusions: tuple[Confusion, ...]

    @property
    def largest_class(self) -> int:
        """Label of the most frequent class; the lowest label if several are equally frequent."""
        return max(range(len(self.images)), key=lambda label: self.images[label])

    @property
    def largest_class_accuracy(self) -> float:
        """Accuracy in percent of always predicting the most frequent class."""
        return 100.0 * max(self.images) / sum(self.images)

    def accuracy(self, label: int) -> float | None:
        """Return the accuracy of a class in percent, or `None` for a class without images."""
        return 100.0 * self.correct[label] / self.images[label] if self.images[label] else None

    def worst_first(self) -> list[int]:
        """Return the labels of the classes with images, lowest accuracy first."""
        labels = [label for label, count in enumerate(self.images) if count]
        return sorted(labels, key=lambda label: self.correct[label] / self.images[label])

    def confusions_of(self, label: int) -> list[Confusion]:
        """Return the confusions of a class, most frequent first."""
        return [confusion for confusion in self.confusions if confusion.label == label]

    def matrix(self) -> list[list[int]]:
        """Return the confusion matrix, `K x K` counts: rows are true classes, columns are predictions."""
        rows = [[0] * len(self.images) for _ in self.images]
        for label, correct in enumerate(self.correct):
            rows[label][label] = correct
        for confusion in self.confusions:
            rows[confusion.label][confusion.predicted] = confusion.images
        return rows

    @model_validator(mode="after")
    def _check(self) -> Self:
        wrong = [0] * len(self.images)
        for confusion in self.confusions:
            if max(confusion.label, confusion.predicted) >= len(wrong) or confusion.label == confusion.predicted:
                raise ValueError(f"invalid confusion of class {confusion.label} with class {confusion.predicted}")
            wrong[confusion.label] += confusion.images
        if not sum(self.images) or [*self.images] != [c + w for c, w in zip(self.correct, wrong, strict=True)]:
            raise ValueError("correct and wrong predictions of each class must add up to its images")
        return self


def class_predictions(labels: Tensor, predictions: Tensor, num_classes: int) -> ClassPredictions:
    """Count predictions by class.

    Args:
        labels: True classes, `B`.
        predictions: Predicted classes, `B`.
        num_classes: Number of classes, `K`.
    """
    is_correct = labels == predictions
    pairs, counts = (labels * num_classes + predictions)[~is_correct].unique(return_counts=True)  # type: ignore[no-untyped-call]
    found = sorted(zip(counts.tolist(), pairs.tolist(), strict=True), key=lambda pair: (-pair[0], pair[1]))
    return ClassPredictions(
        images=tuple(torch.bincount(labels, minlength=num_classes).tolist()),
        correct=tuple(torch.bincount(labels[is_correct], minlength=num_classes).tolist()),
        confusions=tuple(
            Confusion(label=pair // num_classes, predicted=pair % num_classes, images=count) for count, pair in found
        ),
    )


def confusion_text(confusion: Confusion, predictions: ClassPredictions, names: Sequence[str]) -> str:
    """Describe a confusion, such as `cat taken for dog: 3 of 27`.

    Args:
        confusion: The confusion.
        predictions: Predictions by class, for the size of the class.
        names: Names of the classes, by label.
    """
    of = predictions.images[confusion.label]
    return f"{names[confusion.label]} taken for {names[confusion.predicted]}: {confusion.images} of {of}"
