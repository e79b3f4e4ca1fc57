"""Meaning of the columns of `X`, and the canonical form of its rows.

Legend: `d` columns, `n` rows. Discrete columns contain level indices 0, 1, ...; continuous columns contain values in
natural units.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from surrogates.errors import LayoutError


@dataclass(frozen=True)
class Column:
    """One column of `X`.

    Args:
        name: Name for messages and reports.
        group: Name of its group; columns of one group share a length-scale.
        lower: Smallest value; 0 for a discrete column.
        upper: Largest value; number of levels minus 1 for a discrete column.
        is_discrete: Whether the column contains level indices.
        is_ordered: Whether neighbouring levels are similar; always true for a continuous column.
        inactive_value: Fixed value while the column is inactive.
        parent: Index of the column that decides whether this one is active, or `None`.
        parent_levels: Levels of the parent at which this column is active.
        gates: Indices of continuous columns within [0, 1] that scale the influence of this one: none at 0, full at 1
            or if the gate is inactive.
        kind: Discrete columns of one kind have the same levels, which may have similar effects; empty for none.
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
    kind: str = ""

    @property
    def is_gate(self) -> bool:
        """Whether other columns may use it as a gate: it is continuous within [0, 1]."""
        return not self.is_discrete and self.lower >= 0.0 and self.upper <= 1.0

    @property
    def num_levels(self) -> int:
        """Number of levels of a discrete column; 0 for a continuous one."""
        return round(self.upper) + 1 if self.is_discrete else 0


@dataclass(frozen=True)
class _Generation:
    """Columns with the same number of ancestors.

    Args:
        children: Positions of the columns, `k`.
        parents: Positions of their parents, `k`.
        switches: Whether each column is active at each level of its parent, `k x (levels + 1)`; the last entry is for
            values that are not levels.
    """

    children: Tensor
    parents: Tensor
    switches: Tensor

    @classmethod
    def of(cls, columns: Sequence[Column], children: list[int]) -> _Generation:
        parents = [parent for child in children if (parent := columns[child].parent) is not None]
        switches = torch.zeros(
            len(children), 1 + max(columns[parent].num_levels for parent in parents), dtype=torch.bool
        )
        for row, child in enumerate(children):
            switches[row, list(columns[child].parent_levels)] = True
        return cls(torch.tensor(children), torch.tensor(parents), switches)


@dataclass(frozen=True)
class ColumnLayout:
    """All `d` columns, parents before children.

    Raises:
        LayoutError: If a parent is not a discrete column before its child, if `parent_levels` contains levels that the
            parent does not have, or if a gate is not a continuous column within [0, 1].
    """

    columns: tuple[Column, ...]

    def __post_init__(self) -> None:
        for position, column in enumerate(self.columns):
            if column.parent is not None and not (
                0 <= column.parent < position and self.columns[column.parent].is_discrete
            ):
                raise LayoutError(
                    f"{column.name}: depends on column {column.parent}, which is not an earlier discrete column"
                )
            if column.parent is not None and not set(column.parent_levels) <= set(
                range(self.columns[column.parent].num_levels)
            ):
                raise LayoutError(
                    f"{column.name}: depends on levels {column.parent_levels} of column {column.parent}, which has "
                    f"{self.columns[column.parent].num_levels} levels"
                )
            for gate in column.gates:
                if not 0 <= gate < len(self.columns) or not self.columns[gate].is_gate:
                    raise LayoutError(f"{column.name}: column {gate} is not continuous within [0, 1]; a gate must be")

    def __len__(self) -> int:
        return len(self.columns)

    def _check(self, X: Tensor) -> None:
        if X.shape[-1] != len(self.columns):
            raise LayoutError(f"expected {len(self.columns)} columns, got a tensor of shape {tuple(X.shape)}")

    def activity(self, X: Tensor) -> Tensor:
        """Return which entries are active.

        Args:
            X: A `batch_shape x n x d` tensor.

        Returns:
            A boolean tensor of the same shape.

        Raises:
            LayoutError: If the last dimension is not `d`.
        """
        self._check(X)
        active = torch.ones_like(X, dtype=torch.bool)
        for generation in self._generations:
            level = X[..., generation.parents].round().clamp(-1, generation.switches.shape[-1] - 1).long()
            is_on = generation.switches[torch.arange(len(generation.children)), level]
            active[..., generation.children] = is_on & active[..., generation.parents]
        return active

    @cached_property
    def _generations(self) -> list[_Generation]:
        """Columns that have parents, grouped by their number of ancestors; one group is computed at a time."""
        depths: list[int] = []
        for column in self.columns:
            depths.append(0 if column.parent is None else depths[column.parent] + 1)
        return [
            _Generation.of(self.columns, [position for position, other in enumerate(depths) if other == depth])
            for depth in range(1, max(depths, default=0) + 1)
        ]

    def canonical(self, X: Tensor) -> Tensor:
        """Clamp and round rows into the space, and set every inactive entry to its fixed value.

        The result is differentiable in the active continuous entries.

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
        snapped = torch.where(self.is_discrete, clamped.round(), clamped)
        return torch.where(self.activity(snapped), snapped, self._inactive_values.to(X))

    @cached_property
    def _inactive_values(self) -> Tensor:
        return torch.tensor([column.inactive_value for column in self.columns], dtype=torch.float64)

    @cached_property
    def bounds(self) -> Tensor:
        """Lower and upper bounds, `2 x d`, float64."""
        rows = [[c.lower for c in self.columns], [c.upper for c in self.columns]]
        return torch.tensor(rows, dtype=torch.float64)

    @cached_property
    def is_discrete(self) -> Tensor:
        """Boolean mask of the discrete columns, `d`."""
        return torch.tensor([column.is_discrete for column in self.columns])

    def sample(self, num_rows: int, generator: torch.Generator) -> Tensor:
        """Draw canonical rows; each entry is uniform over its levels or interval.

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
