"""Figures of a trained network, for comparison with its estimates."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from aebnas_bo.storage.count_text import counted

TrainingKind = Literal["short", "final", "plain"]
TRAININGS: dict[TrainingKind, str] = {
    "short": "short training",
    "final": "trained to the end",
    "plain": "plain network, trained to the end",
}


@dataclass(frozen=True)
class TrainedPoint:
    """Trained network on the validation images, with thresholds tuned for one goal.

    Args:
        key: Key of the architecture.
        kind: Short training for a short list, full training, or plain network.
        epochs: Epochs of the training.
        accuracy: Accuracy in percent.
        average_macs: Average MACs in millions.
        name: Display name.
        curve: Average MACs and accuracy at other thresholds, tuned for increasing budgets; empty if not known.
    """

    key: str
    kind: TrainingKind
    epochs: int
    accuracy: float
    average_macs: float
    name: str = ""
    curve: tuple[tuple[float, float], ...] = ()

    @property
    def training(self) -> str:
        """Kind and length of the training as text."""
        return f"{TRAININGS[self.kind]}, {counted(self.epochs, 'epoch')}"


def costs_of(points: Sequence[TrainedPoint]) -> list[float]:
    """Return the average MACs of trained networks at all their operating points, in millions."""
    return [macs for point in points for macs in (point.average_macs, *(one for one, _ in point.curve))]


def by_training(points: Sequence[TrainedPoint]) -> dict[str, list[TrainedPoint]]:
    """Group trained networks by kind and epochs: short trainings first, plain networks last."""
    kinds = list(TRAININGS)
    found: dict[str, list[TrainedPoint]] = {}
    for point in sorted(points, key=lambda one: (kinds.index(one.kind), one.epochs)):
        found.setdefault(point.training, []).append(point)
    return found


def trained_range(points: Sequence[TrainedPoint], low: float, high: float) -> tuple[float, float]:
    """Return a range of accuracies that includes fully trained networks; short trainings may lie below it.

    Args:
        points: All trained networks.
        low: Lowest accuracy shown without them.
        high: Highest accuracy shown without them.
    """
    to_the_end = [point.accuracy for point in points if point.kind != "short"]
    return min([low, *to_the_end]), max([high, *(point.accuracy for point in points)])


def nearest_trained(points: Sequence[TrainedPoint], key: str, average_macs: float) -> TrainedPoint | None:
    """Return the training of a network to compare with an estimate: full first, then longest, then nearest in MACs.

    Args:
        points: All trained networks.
        key: Key of the network.
        average_macs: Average MACs of the estimate in millions.
    """
    of_network = [point for point in points if point.key == key]
    return max(
        of_network,
        key=lambda one: (one.kind != "short", one.epochs, -abs(one.average_macs - average_macs)),
        default=None,
    )


def trained_text(point: TrainedPoint | None) -> str:
    """Return accuracy, average MACs and epochs of a trained network for a table, a dash for `None`."""
    if point is None:
        return "–"
    short = " (short)" if point.kind == "short" else ""
    return f"{point.accuracy:.2f} at {point.average_macs:.4f}, {counted(point.epochs, 'epoch')}{short}"
