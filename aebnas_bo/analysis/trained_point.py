"""Figures of a trained network, shown next to the search's estimates of it."""

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
    """A trained network on the validation images, at the thresholds tuned for one goal.

    Args:
        key: Key of the architecture.
        kind: Trained for a short list or to the end; or a plain network, which is none of the search.
        epochs: Epochs it was trained for.
        accuracy: Accuracy in percent.
        average_macs: Average MACs in millions.
        name: What it is, for a reader.
    """

    key: str
    kind: TrainingKind
    epochs: int
    accuracy: float
    average_macs: float
    name: str = ""

    @property
    def training(self) -> str:
        """How the network was trained, in words."""
        return f"{TRAININGS[self.kind]}, {counted(self.epochs, 'epoch')}"


def by_training(points: Sequence[TrainedPoint]) -> dict[str, list[TrainedPoint]]:
    """Return trained networks by how they were trained: short trainings first, plain networks last, by epochs."""
    kinds = list(TRAININGS)
    found: dict[str, list[TrainedPoint]] = {}
    for point in sorted(points, key=lambda one: (kinds.index(one.kind), one.epochs)):
        found.setdefault(point.training, []).append(point)
    return found


def trained_range(points: Sequence[TrainedPoint], low: float, high: float) -> tuple[float, float]:
    """Return a range of accuracies that includes networks trained to the end; a short training may lie below.

    Args:
        points: All trained networks.
        low: Lowest accuracy shown without them.
        high: Highest accuracy shown without them.
    """
    to_the_end = [point.accuracy for point in points if point.kind != "short"]
    return min([low, *to_the_end]), max([high, *(point.accuracy for point in points)])


def nearest_trained(points: Sequence[TrainedPoint], key: str, average_macs: float) -> TrainedPoint | None:
    """Return the training of a network to show beside an estimate: to the end, then longest, then nearest in MACs.

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
