"""The outputs of a network that run at given thresholds, and the cost of leaving at each of them.

Exits may be switched off, and the network may end at an exit: it takes every image that is left, and nothing behind it
is computed. A threshold of 0, which every image reaches, stands for that end.

Legend: `B` images, `E` outputs (active exits in order, then the final classifier).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from aebnas_bo.early_exit.exit_rule import ExitTable

END = 0.0  # the threshold of the exit at which a network ends


@dataclass(frozen=True)
class OutputsInUse:
    """The outputs of a network that are run at given thresholds.

    Args:
        rows: Their numbers among all `E` outputs, ascending; the last takes every image that is left.
        table: The table of these outputs alone.
        thresholds: One per output in use but the last.
    """

    rows: tuple[int, ...]
    table: ExitTable
    thresholds: tuple[float, ...]


def outputs_in_use(
    table: ExitTable, thresholds: Sequence[float | None], *, backbone: Sequence[int], branches: Sequence[int]
) -> OutputsInUse:
    """Return the outputs that are run, with a table that charges for them alone.

    Args:
        table: The network's table over `B` images, all `E` outputs.
        thresholds: One per exit, `E - 1`; `None` of an exit that is switched off, 0 of one at which the network ends.
        backbone: MACs of the backbone up to each output, `E`, ascending.
        branches: MACs of each exit's branch, `E - 1`.
    """
    rows = rows_in_use(thresholds)
    kept = keep_outputs(table, rows, backbone=backbone, branches=branches)
    given = [thresholds[row] for row in rows[:-1]]
    return OutputsInUse(rows, kept, tuple(threshold for threshold in given if threshold is not None))


def rows_in_use(thresholds: Sequence[float | None]) -> tuple[int, ...]:
    """Return the numbers, from 0, of the outputs that are run.

    Args:
        thresholds: One per exit, as for `outputs_in_use`.
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
    """Return the table of a network with some of its outputs, in which only their branches are charged.

    Args:
        table: The network's table over `B` images.
        rows: Numbers of the outputs that stay, ascending.
        backbone: MACs of the backbone up to each output, `E`, ascending.
        branches: MACs of each exit's branch, `E - 1`.
    """
    macs, passed = [], 0
    for row in rows:
        passed += branches[row] if row < len(branches) else 0
        macs.append(int(backbone[row]) + passed)
    kept = list(rows)
    chance = None if table.chance is None else table.chance[kept]
    return ExitTable(table.confidence[kept], table.is_correct[kept], tuple(macs), table.rule, chance)
