"""The exit that each image takes, and the resulting accuracy, exit rates and average MACs.

Legend: `B` images, `E` outputs (active exits in order, then the final classifier).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from aebnas_bo.early_exit.settings import ExitRule
from aebnas_bo.errors import AebnasError


class ExitTableError(AebnasError, ValueError):
    """A table or its thresholds have the wrong shape."""


@dataclass(frozen=True)
class ExitTable:
    """Confidences, right answers and costs of a network's outputs, from one forward pass over `B` images.

    Args:
        confidence: `E x B` confidences in [0, 1].
        is_correct: `E x B` booleans, whether each output's prediction is right.
        macs: Cost of leaving at each output, `E` integers, earlier active branches included.
        rule: What thresholds are held against.
        chance: `E x B` probabilities that each output is right, judged by confidences (`chances.with_chances`). Where
            they are given, thresholds are tuned on them and not on `is_correct`.
    """

    confidence: Tensor
    is_correct: Tensor
    macs: tuple[int, ...]
    rule: ExitRule = "each"
    chance: Tensor | None = None

    def __post_init__(self) -> None:
        if self.confidence.shape != self.is_correct.shape or self.confidence.ndim != 2:
            raise ExitTableError(
                f"confidence and is_correct must both be E x B, got {tuple(self.confidence.shape)} and "
                f"{tuple(self.is_correct.shape)}"
            )
        if self.chance is not None and self.chance.shape != self.confidence.shape:
            raise ExitTableError(f"chance must be {tuple(self.confidence.shape)}, got {tuple(self.chance.shape)}")
        if len(self.macs) != len(self.confidence) or self.confidence.shape[1] == 0:
            raise ExitTableError(
                f"expected one cost for each of {len(self.confidence)} outputs and at least one image, "
                f"got {len(self.macs)} costs and {self.confidence.shape[1]} images"
            )

    @property
    def worth(self) -> Tensor:
        """Weight of an image at each output when thresholds are tuned, `E x B` in [0, 1]."""
        return self.is_correct if self.chance is None else self.chance

    @cached_property
    def certainty(self) -> Tensor:
        """Values that are compared with thresholds, `E x B` in [0, 1]."""
        certainties, doubt = [], torch.ones_like(self.confidence[0])
        for confidence in self.confidence:
            certainty, doubt = next_certainty(confidence, doubt, self.rule)
            certainties.append(certainty)
        return torch.stack(certainties)


@dataclass(frozen=True)
class ExitOutcome:
    """Accuracy, exit rates and costs of a table at given thresholds.

    Args:
        accuracy: Top-1 accuracy in percent.
        accuracy_sem: Its binomial standard error, in percent.
        average_macs: Mean MACs per image.
        average_macs_sem: Its standard error over images.
        exit_rates: Share of images leaving at each of the `E` outputs.
    """

    accuracy: float
    accuracy_sem: float
    average_macs: float
    average_macs_sem: float
    exit_rates: tuple[float, ...]


def next_certainty(confidence: Tensor, doubt: Tensor, rule: ExitRule) -> tuple[Tensor, Tensor]:
    """Return the value that is compared with the threshold of the next output.

    By the rule `each` it is the output's own confidence (AEBNAS, EDANAS); by `cumulative` 1 less the product of all
    doubts so far, which is the sum of NACHOS's `g_j`.

    Args:
        confidence: The output's confidences in [0, 1], `B`.
        doubt: Product of 1 less the confidence over all outputs before it, `B`; ones at the first.
        rule: What thresholds are held against.

    Returns:
        The certainties and the `doubt` of the output after it, `B` each.
    """
    doubt = doubt * (1.0 - confidence)
    return confidence if rule == "each" else 1.0 - doubt, doubt


def leaves(certainty: Tensor, threshold: float) -> Tensor:
    """Return whether images leave at an output, booleans: their certainty reaches its threshold.

    Args:
        certainty: Certainties there.
        threshold: The output's threshold.
    """
    return certainty >= threshold


def exit_indices(certainty: Tensor, thresholds: Sequence[float]) -> Tensor:
    """Return the output at which each image leaves: the first whose certainty reaches its threshold.

    Args:
        certainty: `E x B`, as an `ExitTable` has it.
        thresholds: `E - 1` thresholds; the final classifier takes all images that are left.

    Returns:
        `B` integers from 0 to `E - 1`.

    Raises:
        ExitTableError: If the number of thresholds is wrong.
    """
    if len(thresholds) != len(certainty) - 1:
        raise ExitTableError(f"{len(certainty) - 1} exits need as many thresholds, got {len(thresholds)}")
    leaves_at = torch.full(certainty.shape[1:], len(thresholds), device=certainty.device)
    for position in reversed(range(len(thresholds))):  # the first exit has the last word
        leaves_at.masked_fill_(leaves(certainty[position], thresholds[position]), position)
    return leaves_at


def evaluate_thresholds(table: ExitTable, thresholds: Sequence[float]) -> ExitOutcome:
    """Apply thresholds to a table.

    Args:
        table: The network's table over `B` images.
        thresholds: One per active exit.

    Returns:
        Accuracy, cost and exit rates. The binomial standard error is taken at (right + 1) / (B + 2), so that it is
        not zero where all images are right (Agresti and Coull, 1998).

    Raises:
        ExitTableError: If the number of thresholds is wrong.
    """
    num_images = table.confidence.shape[1]
    leaves_at = exit_indices(table.certainty, thresholds)
    num_right = int(table.is_correct.gather(0, leaves_at[None]).sum())
    share = (num_right + 1) / (num_images + 2)
    counts = torch.bincount(leaves_at, minlength=len(table.macs)).tolist()
    mean_macs, macs_sem = mean_cost(counts, table.macs)
    return ExitOutcome(
        accuracy=100.0 * num_right / num_images,
        accuracy_sem=100.0 * (share * (1.0 - share) / num_images) ** 0.5,
        average_macs=mean_macs,
        average_macs_sem=macs_sem,
        exit_rates=tuple(count / num_images for count in counts),
    )


def mean_cost(counts: Sequence[int], costs: Sequence[float]) -> tuple[float, float]:
    """Return the mean cost of an image and its standard error over images.

    Args:
        counts: Images that leave at each of the `E` outputs.
        costs: What leaving there costs.
    """
    num_images = sum(counts)
    mean = sum(count * cost for count, cost in zip(counts, costs, strict=True)) / num_images
    variance = sum(count * (cost - mean) ** 2 for count, cost in zip(counts, costs, strict=True)) / num_images
    return mean, (variance / num_images) ** 0.5


@dataclass(frozen=True)
class OutputOutcome:
    """Figures of one output at given thresholds.

    Args:
        exit_rate: Share of the images that leave there.
        accuracy: Top-1 accuracy in percent if every image left there.
        accuracy_of_leaving: The same of those that do; `None` if none does.
    """

    exit_rate: float
    accuracy: float
    accuracy_of_leaving: float | None


def outcomes_by_output(table: ExitTable, thresholds: Sequence[float]) -> tuple[OutputOutcome, ...]:
    """Apply thresholds to a table and return the figures of each of its `E` outputs.

    Args:
        table: The network's table over `B` images.
        thresholds: One per active exit.

    Raises:
        ExitTableError: If the number of thresholds is wrong.
    """
    leaves_at = exit_indices(table.certainty, thresholds)
    outcomes = []
    for number, is_correct in enumerate(table.is_correct):
        leaving = is_correct[leaves_at == number]
        outcomes.append(
            OutputOutcome(
                exit_rate=len(leaving) / len(is_correct),
                accuracy=100.0 * float(is_correct.double().mean()),
                accuracy_of_leaving=100.0 * float(leaving.double().mean()) if len(leaving) else None,
            )
        )
    return tuple(outcomes)
