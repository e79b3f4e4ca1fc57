"""Messages at the start of a run: images, size of the space, duration of supernet training."""

from __future__ import annotations

import math

from aebnas_bo.data.image_report import image_line, image_warnings
from aebnas_bo.data.splits import Splits
from aebnas_bo.preparation.problem import Problem
from aebnas_bo.space.auto import auto_declaration
from aebnas_bo.space.macs import millions
from aebnas_bo.space.network_space import NetworkSpace
from aebnas_bo.storage.count_text import counted
from aebnas_bo.training.training_loop import EpochReport

MISFIT = 1.5  # ratio of resolutions from which on a space does not suit the images


def opening_lines(problem: Problem) -> list[str]:
    """Return what there is to work with, a line each: images, what looks like a mistake, and the space.

    Args:
        problem: Search problem.
    """
    warnings = [*image_warnings(problem.splits), *resolution_warnings(problem)]
    return [image_line(problem.splits), *(f"warning: {one}" for one in warnings), space_text(problem.space)]


def resolution_warnings(problem: Problem) -> list[str]:
    """Return a warning if the networks of a space see images much smaller or larger than they are, else nothing.

    The preset `auto` is the measure, which follows the size of the images and the limit on average MACs.

    Args:
        problem: Space and images.
    """
    if problem.space.skeleton.given is not None:
        return []
    splits, resolutions = problem.splits, problem.space.declaration.resolutions
    limit = problem.config.search.max_average_macs
    suited = auto_declaration(splits.image_size, splits.in_channels, limit)["resolutions"]
    assert isinstance(suited, list)
    side = splits.image_size
    if max(resolutions) * MISFIT <= min(suited):
        return [
            f"the networks of this space read images at {max(resolutions)}x{max(resolutions)} at most, those here have "
            f"{side}x{side}, of which most is lost; set space: auto, which reads up to {max(suited)}x{max(suited)}"
        ]
    if min(resolutions) >= max(suited) * MISFIT:
        return [
            f"the networks of this space read images at {min(resolutions)}x{min(resolutions)} at least, those here "
            f"have {side}x{side}, which costs MACs and adds nothing; set space: auto"
        ]
    return []


def images_text(splits: Splits) -> str:
    """Return a text with the number of training images, of classes, and the image size."""
    count, side = len(splits.train), splits.image_size
    return f"{counted(count, 'training image')} of {counted(splits.num_classes, 'class', 'classes')} at {side}x{side}"


def space_text(space: NetworkSpace) -> str:
    """Return a text with the number of networks in a space and the range of their MACs without exits."""
    low, high = (millions(macs) for macs in space.backbone_macs)
    count = power_text(space.search_space.num_discrete)
    given = space.skeleton.given
    if given is not None:
        exits = counted(len(space.skeleton.exit_stages), "exit")
        return f"space: about {count} networks of up to {exits} in {given.name}, which has {high:.3g} M MACs"
    return f"space: about {count} networks; without exits they have {low:.3g} to {high:.3g} M MACs"


def epoch_text(report: EpochReport, epoch_s: float) -> str:
    """Return a text with the duration of an epoch and an estimate for all epochs.

    Args:
        report: Report of the epoch.
        epoch_s: Its duration in seconds.
    """
    took = f"epoch {report.epoch} of {report.epochs} took {duration_text(epoch_s)}"
    return f"{took}; the supernet takes about {duration_text(report.epochs * epoch_s)}"


def power_text(number: int) -> str:
    """Format a number, large ones as a power of ten: `1024`, `10²⁰`."""
    return str(number) if number < 100_000 else f"10{_superscript(round(math.log10(number)))}"


def _superscript(number: int) -> str:
    return str(number).translate(str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹"))


def duration_text(seconds: float) -> str:
    """Format a duration for readers: `0.4 s`, `45 s`, `12 min`, `2.5 h`."""
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
