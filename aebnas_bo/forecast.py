"""What a run says of itself before the long work begins: its images, its networks, how long the supernet takes."""

from __future__ import annotations

from aebnas_bo.data.splits import Splits
from aebnas_bo.report.number_text import macs_text, power_text
from aebnas_bo.space.macs import exit_costs
from aebnas_bo.space.network_space import NetworkSpace
from aebnas_bo.timed_run.duration import duration_text
from aebnas_bo.training.loop import EpochReport


def images_text(splits: Splits) -> str:
    """Return how many training images there are, of how many classes, and their size."""
    count, side = len(splits.train), splits.image_size
    return f"{count:,} training images of {splits.num_classes} classes at {side}x{side}"


def space_text(space: NetworkSpace) -> str:
    """Return how many networks a space has, and the MACs of its cheapest and its most expensive one without exits."""
    ends = (space.smallest_without_exits, space.largest_without_exits)
    low, high = (macs_text(exit_costs(one, space.skeleton).cumulative[-1]) for one in ends)
    return f"space: about {power_text(space.search_space.num_discrete)} networks, without exits {low} to {high} MACs"


def epoch_text(report: EpochReport, epoch_s: float) -> str:
    """Return how long an epoch took and how long all of them take.

    Args:
        report: The epoch.
        epoch_s: How long it took, in seconds.
    """
    took = f"epoch {report.epoch} of {report.epochs} took {duration_text(epoch_s)}"
    return f"{took}; the supernet takes about {duration_text(report.epochs * epoch_s)}"
