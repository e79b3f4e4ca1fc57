"""What the columns of `X` mean, and the canonical form of its rows.

Legend: `d` columns, `n` rows; a discrete column holds level indices 0, 1, ..., a continuous one natural values.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from surrogates.errors import LayoutError


@dataclass(frozen=True)
class Column:
    """One column of `X`.

    Args:
        name: Name for messages and reports.
        group: Columns of one group share a length-scale.
        lower: Smallest value; 0 for a discrete column.
        upper: Largest value; number of levels minus 1 for a discrete column.
        is_discrete: Whether it holds level indices.
        is_ordered: Whether neighbouring levels resemble each other; always true for a continuous column.
        inactive_value: Fixed value while switched off.
        parent: Index of the column it depends on, or `None`.
        parent_levels: Levels of the parent at which this column is active.
        gates: Indices of continuous columns within [0, 1] that stand before this one: at 0 they shut it off, at 1, or
            switched off themselves, they let it count in full.
    """

    name: str
    group: str
    lower: float
    upper: float
    is_discrete: bool
    is_ordered: bool = True
    inactive_value: float = 0.0
    parent: int | None = None
    parent_levels: tuple[int, ...] = ()
    gates: tuple[int, ...] = ()

    @property
    def is_gate(self) -> bool:
        """Whether it may stand before other columns: continuous within [0, 1]."""
        return not self.is_discrete and self.lower >= 0.0 and self.upper <= 1.0

    @property
    def num_levels(self) -> int:
        """Number of levels of a discrete column; 0 for a continuous one."""
        return round(self.upper) + 1 if self.is_discrete else 0


@dataclass(frozen=True)
class ColumnLayout:
    """All `d` columns, parents before children.

    Raises:
        LayoutError: If a column depends on one that is not a discrete column before it, or has a gate that is not a
            continuous column within [0, 1].
    """

    columns: tuple[Column, ...]

    def __post_init__(self) -> None:
        for position, column in enumerate(self.columns):
            if column.parent is not None and not (
                0 <= column.parent < position and self.columns[column.parent].is_discrete
            ):
                raise LayoutError(
                    f"{column.name}: depends on column {column.parent}, which is not a discrete one before it"
                )

            for gate in column.gates:
                if not 0 <= gate < len(self.columns) or not self.columns[gate].is_gate:
                    raise LayoutError(f"{column.name}: column {gate} is not continuous within [0, 1], so no gate")

    def __len__(self) -> int:
        return len(self.columns)

    def _check(self, X: Tensor) -> None:
        if X.shape[-1] != len(self.columns):
            raise LayoutError(f"expected {len(self.columns)} columns, got a tensor of shape {tuple(X.shape)}")

    def activity(self, X: Tensor) -> Tensor:
        """Return which entries matter.

        Args:
            X: A `batch_shape x n x d` tensor.

        Returns:
            A boolean tensor of the same shape.

        Raises:
            LayoutError: If the last dimension is not `d`.
        """
        self._check(X)
        active = torch.ones_like(X, dtype=torch.bool)
        for position, column in enumerate(self.columns):
            if column.parent is not None:
                level = X[..., column.parent].round()
                at_level = torch.zeros_like(level, dtype=torch.bool)
                for value in column.parent_levels:
                    at_level |= level == value
                active[..., position] = at_level & active[..., column.parent]
        return active

    def canonical(self, X: Tensor) -> Tensor:
        """Clamp and round into the space and put every switched-off entry at its fixed value.

        Differentiable in the active continuous entries.

        Args:
            X: A `batch_shape x n x d` tensor.

        Returns:
            A tensor of the same shape.

        Raises:
            LayoutError: If the last dimension is not `d`.
        """
        self._check(X)
        lower, upper = self.bounds.to(X)
        clamped = X.clamp(lower, upper)
        discrete = self.is_discrete.to(X.device)
        snapped = torch.where(discrete, clamped.round(), clamped)
        fixed = torch.tensor([column.inactive_value for column in self.columns]).to(X)
        return torch.where(self.activity(snapped), snapped, fixed)

    @property
    def bounds(self) -> Tensor:
        """Lower and upper bounds, `2 x d`, float64."""
        rows = [[c.lower for c in self.columns], [c.upper for c in self.columns]]
        return torch.tensor(rows, dtype=torch.float64)

    @property
    def is_discrete(self) -> Tensor:
        """Boolean mask of the discrete columns, `d`."""
        return torch.tensor([column.is_discrete for column in self.columns])

    def sample(self, num_rows: int, generator: torch.Generator) -> Tensor:
        """Draw canonical rows, each entry uniform over its levels or interval.

        Args:
            num_rows: Number of rows, `n`.
            generator: Source of randomness (CPU).

        Returns:
            An `n x d` float64 tensor.
        """
        unit = torch.rand(num_rows, len(self), generator=generator, dtype=torch.float64)
        lower, upper = self.bounds
        levels = torch.floor(unit * (upper + 1.0))
        return self.canonical(torch.where(self.is_discrete, levels, lower + unit * (upper - lower)))
