"""Predictions of a network by class: images, correct predictions and confusions.

Legend: `B` images, `K` classes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Self

import torch
from pydantic import Field, model_validator
from torch import Tensor

from aebnas_bo.storage.frozen_model import FrozenModel

Count = Annotated[int, Field(ge=0)]


class Confusion(FrozenModel):
    """Images of one class that were classified as another.

    Args:
        label: True class, from 0.
        answer: Predicted class, from 0.
        images: Number of images.
    """

    label: Count
    answer: Count
    images: Annotated[int, Field(ge=1)]


class ClassAnswers(FrozenModel):
    """Predictions by class at the network's thresholds.

    Args:
        images: Number of images of each class, `K`.
        right: Number of correct predictions of each class, `K`.
        confusions: Pairs of true class and wrong prediction, most frequent first.
    """

    images: tuple[Count, ...]
    right: tuple[Count, ...]
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
        return 100.0 * self.right[label] / self.images[label] if self.images[label] else None

    def worst_first(self) -> list[int]:
        """Return the labels of the classes with images, lowest accuracy first."""
        labels = [label for label, count in enumerate(self.images) if count]
        return sorted(labels, key=lambda label: self.right[label] / self.images[label])

    def confusions_of(self, label: int) -> list[Confusion]:
        """Return the confusions of a class, most frequent first."""
        return [confusion for confusion in self.confusions if confusion.label == label]

    def matrix(self) -> list[list[int]]:
        """Return the confusion matrix, `K x K` counts: rows are true classes, columns are predictions."""
        rows = [[0] * len(self.images) for _ in self.images]
        for label, right in enumerate(self.right):
            rows[label][label] = right
        for confusion in self.confusions:
            rows[confusion.label][confusion.answer] = confusion.images
        return rows

    @model_validator(mode="after")
    def _check(self) -> Self:
        wrong = [0] * len(self.images)
        for confusion in self.confusions:
            if max(confusion.label, confusion.answer) >= len(wrong) or confusion.label == confusion.answer:
                raise ValueError(f"invalid confusion of class {confusion.label} with class {confusion.answer}")
            wrong[confusion.label] += confusion.images
        if not sum(self.images) or [*self.images] != [r + w for r, w in zip(self.right, wrong, strict=True)]:
            raise ValueError("correct and wrong predictions of each class must add up to its images")
        return self


def class_answers(labels: Tensor, answers: Tensor, num_classes: int) -> ClassAnswers:
    """Count predictions by class.

    Args:
        labels: True classes, `B`.
        answers: Predicted classes, `B`.
        num_classes: Number of classes, `K`.
    """
    is_right = labels == answers
    pairs, counts = (labels * num_classes + answers)[~is_right].unique(return_counts=True)  # type: ignore[no-untyped-call]
    found = sorted(zip(counts.tolist(), pairs.tolist(), strict=True), key=lambda pair: (-pair[0], pair[1]))
    return ClassAnswers(
        images=tuple(torch.bincount(labels, minlength=num_classes).tolist()),
        right=tuple(torch.bincount(labels[is_right], minlength=num_classes).tolist()),
        confusions=tuple(
            Confusion(label=pair // num_classes, answer=pair % num_classes, images=count) for count, pair in found
        ),
    )


def confusion_text(confusion: Confusion, answers: ClassAnswers, names: Sequence[str]) -> str:
    """Describe a confusion, such as `cat taken for dog: 3 of 27`.

    Args:
        confusion: The confusion.
        answers: Predictions by class, for the size of the class.
        names: Names of the classes, by label.
    """
    of = answers.images[confusion.label]
    return f"{names[confusion.label]} taken for {names[confusion.answer]}: {confusion.images} of {of}"
