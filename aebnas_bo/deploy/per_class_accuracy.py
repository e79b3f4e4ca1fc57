"""Answers of a network class by class: images, right answers and confusions.

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
    """Images of one class that were taken for another.

    Args:
        label: Their class, from 0.
        answer: What they were taken for.
        images: How many they are.
    """

    label: Count
    answer: Count
    images: Annotated[int, Field(ge=1)]


class ClassAnswers(FrozenModel):
    """Answers to the images of each class, at the network's thresholds.

    Args:
        images: Number of images of each class, `K`.
        right: Number of right answers among them, `K`.
        confusions: Pairs of class and wrong answer that occur, the most frequent first.
    """

    images: tuple[Count, ...]
    right: tuple[Count, ...]
    confusions: tuple[Confusion, ...]

    @property
    def largest_class(self) -> int:
        """Label of the most frequent class, the first of several."""
        return max(range(len(self.images)), key=lambda label: self.images[label])

    @property
    def largest_class_accuracy(self) -> float:
        """Accuracy in percent of always answering the most frequent class."""
        return 100.0 * max(self.images) / sum(self.images)

    def accuracy(self, label: int) -> float | None:
        """Return the percentage of a class's images that are answered right, `None` of a class without images."""
        return 100.0 * self.right[label] / self.images[label] if self.images[label] else None

    def worst_first(self) -> list[int]:
        """Return the labels of the classes with images, lowest accuracy first."""
        labels = [label for label, count in enumerate(self.images) if count]
        return sorted(labels, key=lambda label: self.right[label] / self.images[label])

    def confusions_of(self, label: int) -> list[Confusion]:
        """Return what the images of a class were taken for, the most frequent wrong answer first."""
        return [confusion for confusion in self.confusions if confusion.label == label]

    def matrix(self) -> list[list[int]]:
        """Return the confusion matrix, `K x K` numbers of images: a row per class, a column per answer."""
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
                raise ValueError(f"class {confusion.label} cannot be taken for {confusion.answer}")
            wrong[confusion.label] += confusion.images
        if not sum(self.images) or [*self.images] != [r + w for r, w in zip(self.right, wrong, strict=True)]:
            raise ValueError("right and wrong answers of each class must add up to its images")
        return self


def class_answers(labels: Tensor, answers: Tensor, num_classes: int) -> ClassAnswers:
    """Count answers class by class.

    Args:
        labels: Right classes, `B`.
        answers: Answers of the network, `B`.
        num_classes: `K`.
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
    """Say what was taken for what, such as `cat taken for dog: 3 of 27`.

    Args:
        confusion: The confusion.
        answers: All answers, for the size of the class.
        names: Names of the classes, by label.
    """
    of = answers.images[confusion.label]
    return f"{names[confusion.label]} taken for {names[confusion.answer]}: {confusion.images} of {of}"
