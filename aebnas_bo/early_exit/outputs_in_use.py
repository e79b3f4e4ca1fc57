"""Outputs of a network that are run at given thresholds, and the cost of leaving at each of them.

Exits may be switched off, and the network may end at an exit, which then takes all remaining images; later layers are
not run. The end is encoded by the threshold 0, which every image reaches.

Legend: `B` images, `E` outputs (active exits in order, then the final classifier).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from aebnas_bo.early_exit.exit_rule import ExitPath, ExitTable, PathOutput
from aebnas_bo.early_exit.settings import ExitRule

END = 0.0  # the threshold of the exit at which a network ends


@dataclass(frozen=True)
class OutputsInUse:
    """Outputs of a network that are run at given thresholds.

    Args:
        rows: Their indices among all `E` outputs, ascending; the last takes all remaining images.
        table: The table of these outputs only.
        thresholds: One per output in use except the last.
    """

    rows: tuple[int, ...]
    table: ExitTable
    thresholds: tuple[float, ...]


def outputs_in_use(
    table: ExitTable, thresholds: Sequence[float | None], *, backbone: Sequence[int], branches: Sequence[int]
) -> OutputsInUse:
    """Return the outputs in use, with a table that includes only their costs.

    Args:
        table: The network's table over `B` images, all `E` outputs.
        thresholds: One per exit, `E - 1`; `None` for an exit that is switched off, 0 for one at which the network ends.
        backbone: MACs of the backbone up to each output, `E`, ascending.
        branches: MACs of each exit's branch, `E - 1`.
    """
    rows = rows_in_use(thresholds)
    kept = keep_outputs(table, rows, backbone=backbone, branches=branches)
    given = [thresholds[row] for row in rows[:-1]]
    return OutputsInUse(rows, kept, tuple(threshold for threshold in given if threshold is not None))


def rows_in_use(thresholds: Sequence[float | None]) -> tuple[int, ...]:
    """Return the indices of the outputs in use.

    Args:
        thresholds: One per exit, see `outputs_in_use`.
    """
    rows = []
    for row, threshold in enumerate(thresholds):
        if threshold is not None:
            rows.append(row)
            if threshold <= END:
                return tuple(rows)
    return (*rows, len(thresholds))


def keep_outputs(
    table: ExitTable, rows: Sequence[int], *, backbone: Sequence[int], branches: Sequence[int]
) -> ExitTable:
    """Return the table of a subset of outputs, which includes only the costs of their branches.

    Args:
        table: The network's table over `B` images.
        rows: Indices of the outputs to keep, ascending.
        backbone: MACs of the backbone up to each output, `E`, ascending.
        branches: MACs of each exit's branch, `E - 1`.
    """
    macs, passed = [], 0
    for row in rows:
        passed += branches[row] if row < len(branches) else 0
        macs.append(int(backbone[row]) + passed)
    if table.of_path is not None:
        return stacked([table.of_path[path] for path in paths_to(rows)], macs=macs, rule=table.rule)
    kept = list(rows)
    probability = None if table.probability is None else table.probability[kept]
    return ExitTable(table.confidence[kept], table.is_correct[kept], tuple(macs), table.rule, probability)


def paths_to(rows: Sequence[int]) -> list[ExitPath]:
    """Return the path to each output in use: the outputs in use up to it.

    Args:
        rows: Indices of the outputs in use, ascending.
    """
    return [tuple(rows[: number + 1]) for number in range(len(rows))]


def stacked(outputs: Sequence[PathOutput], *, macs: Sequence[int], rule: ExitRule) -> ExitTable:
    """Return the table of the outputs of an exit ensemble.

    Args:
        outputs: Each output behind those before it.
        macs: MACs of leaving at each of them.
        rule: Exit rule.
    """
    probabilities = [one.probability for one in outputs if one.probability is not None]
    return ExitTable(
        torch.stack([one.confidence for one in outputs]),
        torch.stack([one.is_correct for one in outputs]),
        tuple(macs),
        rule,
        torch.stack(probabilities) if probabilities else None,
    )
