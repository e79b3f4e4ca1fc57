"""What is known of a network that was trained, to be shown beside what the search estimated of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class TrainedPoint:
    """A trained network on the validation images, at the thresholds tuned for one goal.

    Args:
        key: Key of the architecture.
        epochs: Epochs it was trained for.
        is_final: Whether it was trained to the end; else for a short list.
        accuracy: Accuracy in percent.
        average_macs: Average MACs in millions.
        is_plain: Whether it is a plain network, not one of the search.
    """

    key: str
    epochs: int
    is_final: bool
    accuracy: float
    average_macs: float
    is_plain: bool = False

    @property
    def training(self) -> str:
        """How it was trained, in words."""
        how = "plain network" if self.is_plain else "trained to the end" if self.is_final else "short training"
        return f"{how}, {self.epochs} epochs"


def trained_range(points: Sequence[TrainedPoint], low: float, high: float) -> tuple[float, float]:
    """Return a range of accuracies that includes networks trained to the end; a short training may lie below.

    Args:
        points: All trained networks.
        low: Lowest accuracy shown without them.
        high: Highest accuracy shown without them.
    """
    lowest = [point.accuracy for point in points if point.is_final]
    return min([low, *lowest]), max([high, *(point.accuracy for point in points)])


def nearest_trained(points: Sequence[TrainedPoint], key: str, average_macs: float) -> TrainedPoint | None:
    """Return the training of a network to show beside an estimate: to the end, then longest, then nearest in MACs.

    Args:
        points: All trained networks.
        key: Key of the network.
        average_macs: Average MACs of the estimate in millions.
    """
    of_network = [point for point in points if point.key == key]
    return max(
        of_network, key=lambda one: (one.is_final, one.epochs, -abs(one.average_macs - average_macs)), default=None
    )


def trained_text(point: TrainedPoint | None) -> str:
    """Return accuracy, average MACs and epochs of a trained network for a table, a dash for `None`."""
    if point is None:
        return "–"
    short = "" if point.is_final else " (short)"
    return f"{point.accuracy:.2f} at {point.average_macs:.4f}, {point.epochs} epochs{short}"
