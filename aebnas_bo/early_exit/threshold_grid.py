"""Evaluation of all combinations of a grid of thresholds at once, from one exit table.

An image leaves at exit `k` if its confidence reaches the threshold there, but not at earlier exits. With one list of
thresholds per exit, each image lies in one cell of a grid, whose coordinates are the numbers of thresholds that it
reaches at each exit. Images are counted per cell once, and cumulative sums along the axes give the exit counts for
every combination. The run time is therefore proportional to the grid, not to the grid times the images.

Legend: `B` images, `E` outputs, `G_k` thresholds at exit `k`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from aebnas_bo.early_exit.exit_rule import ExitTable, ExitTableError

MOST_SETTINGS = 20_000
MOST_THRESHOLDS = 64  # per exit


@dataclass(frozen=True)
class GridOutcome:
    """Outcomes of every combination, in the order of the product of the exits' lists.

    Args:
        thresholds: `N x (E - 1)` thresholds, `N` the product of all `G_k`.
        num_right: `N` counts of correct predictions, int64; if the table has probabilities, expected counts, float64.
        total_macs: `N` sums of MACs over all images.
    """

    thresholds: Tensor
    num_right: Tensor
    total_macs: Tensor


def evaluate_grid(table: ExitTable, grids: Sequence[Tensor]) -> GridOutcome:
    """Evaluate every combination of thresholds.

    Args:
        table: The network's table over `B` images.
        grids: Thresholds of each exit, `G_k`, ascending.

    Returns:
        The results that `evaluate_thresholds` returns for each combination.

    Raises:
        ExitTableError: If the number of lists is wrong or one is empty or not ascending.
    """
    if len(grids) != len(table.macs) - 1:
        raise ExitTableError(f"expected a list of thresholds for each of {len(table.macs) - 1} exits, got {len(grids)}")
    for number, grid in enumerate(grids, start=1):
        if not len(grid) or not (grid.diff() > 0).all():
            raise ExitTableError(f"thresholds of exit {number} must be ascending and at least one, got {grid.tolist()}")
    sizes = [len(grid) for grid in grids]
    num_right = torch.zeros(sizes, dtype=torch.float64)
    total_macs = torch.zeros(sizes, dtype=torch.int64)
    # Number of thresholds that an image reaches at each exit: 0 to G_k.
    kind = table.certainty.dtype
    cells = [torch.bucketize(table.certainty[k], grid.to(kind), right=True) for k, grid in enumerate(grids)]
    for k in range(len(grids) + 1):
        axes = sizes[:k] + ([sizes[k]] if k < len(grids) else [])
        leaving, right = _leaving(cells[: k + 1], table.worth[k], axes, is_final=k == len(grids))
        padded = (*leaving.shape, *(1 for _ in sizes[k + 1 :]))
        num_right += right.reshape(padded)
        total_macs += leaving.reshape(padded) * table.macs[k]
    thresholds = torch.cartesian_prod(*grids).reshape(-1, len(grids)) if grids else torch.zeros(1, 0)
    num_right = num_right.flatten() if table.probability is not None else num_right.flatten().round().long()
    return GridOutcome(thresholds, num_right, total_macs.flatten())


def _leaving(cells: list[Tensor], worth: Tensor, sizes: list[int], *, is_final: bool) -> tuple[Tensor, Tensor]:
    """Count images that leave at one output, and correct predictions among them, for all combinations up to it.

    Args:
        cells: Cell of each image at each exit up to this output, `B`.
        worth: Correctness of this output, or its probability, `B`.
        sizes: Number of thresholds of each of these exits.
        is_final: Whether this output takes all remaining images.
    """
    num_images = len(worth)
    flat, shape = torch.zeros(num_images, dtype=torch.int64), [size + 1 for size in sizes]
    for cell, extent in zip(cells, shape, strict=True):
        flat = flat * extent + cell
    volume = math.prod(shape)
    leaving = torch.bincount(flat, minlength=volume).reshape(shape)
    right = torch.bincount(flat, weights=worth.double(), minlength=volume).reshape(shape)
    counts = torch.stack([leaving.double(), right])
    for axis, size in enumerate(sizes):
        dim = axis + 1
        if axis == len(sizes) - 1 and not is_final:
            # leaves: reaches at least the (g+1)-th threshold, so sums over cells g+1 .. G
            counts = counts.flip(dim).cumsum(dim).flip(dim).narrow(dim, 1, size)
        else:
            counts = counts.cumsum(dim).narrow(dim, 0, size)  # goes on: reaches at most g thresholds
    return counts[0].round().long(), counts[1]


def spread_thresholds(table: ExitTable, ranges: Sequence[tuple[float, float]], count: int) -> list[tuple[float, ...]]:
    """Return non-dominated combinations of thresholds, spread over the range of average MACs.

    Args:
        table: The network's table over `B` images.
        ranges: Lower and upper bound of the threshold of each exit.
        count: Maximum number of combinations.

    Returns:
        Combinations of `E - 1` thresholds, cheapest first, among quantiles of the confidences that occur.

    Raises:
        ExitTableError: If the number of ranges is wrong.
    """
    if len(ranges) != len(table.macs) - 1:
        raise ExitTableError(f"expected a range for each of {len(table.macs) - 1} exits, got {len(ranges)}")
    if count < 1 or not ranges:
        return []
    size = max(2, min(MOST_THRESHOLDS, math.floor(MOST_SETTINGS ** (1.0 / len(ranges)))))
    shares = torch.linspace(0.0, 1.0, size, dtype=torch.float64)
    grids = [
        torch.cat([torch.quantile(row.double(), shares).clamp(low, high), torch.tensor([high], dtype=torch.float64)])
        for row, (low, high) in zip(table.certainty[:-1], ranges, strict=True)
    ]
    grids = [grid.unique() for grid in grids]  # type: ignore[no-untyped-call]
    outcome = evaluate_grid(table, grids)
    order = torch.tensor(np.lexsort((-outcome.num_right.numpy(), outcome.total_macs.numpy())))
    right = outcome.num_right[order]
    best_before = torch.cat([torch.tensor([-1]), right.cummax(dim=0).values[:-1]])
    front = order[right > best_before]
    macs = outcome.total_macs[front].double()
    wanted = torch.linspace(float(macs[0]), float(macs[-1]), count, dtype=torch.float64)
    nearest = (macs[None] - wanted[:, None]).abs().argmin(dim=1).unique()  # type: ignore[no-untyped-call]
    return [tuple(setting) for setting in outcome.thresholds[front[nearest]].tolist()]
