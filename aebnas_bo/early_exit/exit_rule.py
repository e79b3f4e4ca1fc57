"""Exit rule: the exit of each image, and the resulting accuracy, exit rates and average MACs.

Legend: `B` images, `E` outputs (active exits in order, then the final classifier).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from aebnas_bo.early_exit.settings import ExitRule
from aebnas_bo.errors import AebnasError

ExitPath = tuple[int, ...]
"""Outputs that an image passes, as ascending row indices; the last is the output where it leaves."""


class ExitTableError(AebnasError, ValueError):
    """Raised if a table or its thresholds have a wrong shape."""


@dataclass(frozen=True, eq=False)  # tensors have no single truth of equality
class PathOutput:
    """An output of an exit ensemble, behind certain exits.

    Args:
        confidence: `B` confidences in [0, 1].
        is_correct: `B` booleans, whether the prediction is right.
        probability: `B` probabilities that it is, as in `ExitTable`.
    """

    confidence: Tensor
    is_correct: Tensor
    probability: Tensor | None = None


@dataclass(frozen=True)
class ExitTable:
    """Confidence, correctness and cost of a network's outputs, from one forward pass over `B` images.

    Args:
        confidence: `E x B` confidences in [0, 1].
        is_correct: `E x B` booleans, whether each output's prediction is right.
        macs: MACs of leaving at each output, `E` integers, including earlier active branches.
        rule: Exit rule, which determines the value compared with thresholds.
        probability: `E x B` probabilities that each output is correct (`expected_accuracy.with_probabilities`). If
            given, thresholds are tuned on them instead of `is_correct`.
        of_path: The outputs of an exit ensemble by path (`exit_ensemble`), because their predictions depend on the
            exits that are switched on; the rows of the table are those with all exits on. `None` without an ensemble.
    """

    confidence: Tensor
    is_correct: Tensor
    macs: tuple[int, ...]
    rule: ExitRule = "each"
    probability: Tensor | None = None
    of_path: Mapping[ExitPath, PathOutput] | None = None

    def __post_init__(self) -> None:
        if self.confidence.shape != self.is_correct.shape or self.confidence.ndim != 2:
            raise ExitTableError(
                f"confidence and is_correct must both be E x B, got {tuple(self.confidence.shape)} and "
                f"{tuple(self.is_correct.shape)}"
            )
        if self.probability is not None and self.probability.shape != self.confidence.shape:
            raise ExitTableError(
                f"probability must be {tuple(self.confidence.shape)}, got {tuple(self.probability.shape)}"
            )
        if len(self.macs) != len(self.confidence) or self.confidence.shape[1] == 0:
            raise ExitTableError(
                f"expected one cost for each of {len(self.confidence)} outputs and at least one image, "
                f"got {len(self.macs)} costs and {self.confidence.shape[1]} images"
            )

    @property
    def worth(self) -> Tensor:
        """Value of an image at each output for threshold tuning, `E x B` in [0, 1]."""
        return self.is_correct if self.probability is None else self.probability

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
        exit_rates: Fraction of images that leave at each of the `E` outputs.
    """

    accuracy: float
    accuracy_sem: float
    average_macs: float
    average_macs_sem: float
    exit_rates: tuple[float, ...]


def next_certainty(confidence: Tensor, doubt: Tensor, rule: ExitRule) -> tuple[Tensor, Tensor]:
    """Compute the value to compare with the threshold of the next output.

    With the rule `each` it is the output's own confidence (AEBNAS, EDANAS). With `cumulative` it is 1 minus the product
    of `1 - confidence` over all outputs so far, which equals the sum of NACHOS's `g_j`.

    Args:
        confidence: The output's confidences in [0, 1], `B`.
        doubt: Product of `1 - confidence` over all earlier outputs, `B`; ones at the first output.
        rule: Exit rule.

    Returns:
        The values to compare and the `doubt` of the following output, `B` each.
    """
    doubt = doubt * (1.0 - confidence)
    return confidence if rule == "each" else 1.0 - doubt, doubt


def leaves(certainty: Tensor, threshold: float) -> Tensor:
    """Return whether images leave at an output, as booleans.

    Args:
        certainty: Values of the exit rule at the output.
        threshold: The output's threshold.
    """
    return certainty >= threshold


def exit_indices(certainty: Tensor, thresholds: Sequence[float]) -> Tensor:
    """Return the output at which each image leaves: the first whose threshold the value of the exit rule reaches.

    Args:
        certainty: `E x B` values of the exit rule, see `ExitTable.certainty`.
        thresholds: `E - 1` thresholds; the final classifier takes all remaining images.

    Returns:
        `B` integers from 0 to `E - 1`.

    Raises:
        ExitTableError: If the number of thresholds is wrong.
    """
    if len(thresholds) != len(certainty) - 1:
        raise ExitTableError(f"expected one threshold for each of {len(certainty) - 1} exits, got {len(thresholds)}")
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
        Accuracy, cost and exit rates. The binomial standard error uses the proportion (correct + 1) / (B + 2), so that
        it is positive if all images are correct (Agresti and Coull, 1998).

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
        costs: Cost of leaving at each output.
    """
    num_images = sum(counts)
    mean = sum(count * cost for count, cost in zip(counts, costs, strict=True)) / num_images
    variance = sum(count * (cost - mean) ** 2 for count, cost in zip(counts, costs, strict=True)) / num_images
    return mean, (variance / num_images) ** 0.5


@dataclass(frozen=True)
class OutputOutcome:
    """Figures of one output at given thresholds.

    Args:
        exit_rate: Fraction of images that leave there.
        accuracy: Top-1 accuracy in percent if every image left there.
        accuracy_of_leaving: Top-1 accuracy in percent of the images that leave there; `None` if none does.
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
