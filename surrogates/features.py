"""From canonical rows to the features a kernel compares."""

from __future__ import annotations

import math

import torch
from botorch.models.transforms.input import InputTransform
from torch import Tensor
from torch.nn import Module

from surrogates.columns import ColumnLayout
from surrogates.known_costs import KnownCosts

COST_GROUP = "costs"
NUM_COST_FEATURES = 2


class CanonicalFeatures(InputTransform, Module):
    """Input transform from `d` columns to `f` features in [-1, 1].

    An ordered discrete or continuous column becomes one feature, linear between -1 and 1; an unordered column one
    indicator per level (0 or 1). A switched-off entry becomes 0, so that it has no influence beyond the parent
    that switched it off. A column with children and more than two levels also gets an indicator of being at a
    level that switches something on, because a thing's absence is more than one step away from its smallest form.

    A feature behind gates is multiplied by them: what few inputs reach matters little, what none reaches not at all.

    Known costs add the logarithm of the lower end of their range and, behind all gates, that of the ratio of its ends.
    After the features follow, for `OutcomeStandardize`, the lower end and the width themselves.

    Args:
        layout: The `d` columns.
        known_costs: Range of a cost at every row, or `None`.
    """

    def __init__(self, layout: ColumnLayout, known_costs: KnownCosts | None = None) -> None:
        super().__init__()
        self.transform_on_train = True
        self.transform_on_eval = True
        self.transform_on_fantasize = True
        self.is_one_to_many = False
        self.layout = layout
        self._known_costs = known_costs
        # (column, None) scales the column; (column, levels) indicates one of these levels.
        self._plan: list[tuple[int, tuple[int, ...] | None]] = []
        for position, column in enumerate(layout.columns):
            if column.is_ordered:
                self._plan.append((position, None))
            else:
                self._plan += [(position, (level,)) for level in range(column.num_levels)]
            self._plan += [(position, levels) for levels in self._switches(position)]

    def _switches(self, position: int) -> list[tuple[int, ...]]:
        column = self.layout.columns[position]
        if not column.is_ordered or column.num_levels <= 2:
            return []
        levels = {c.parent_levels for c in self.layout.columns if c.parent == position}
        return sorted(levels, key=len, reverse=True)[:1]

    @property
    def groups(self) -> list[str]:
        """Group of each of the `f` features."""
        costs = [] if self._known_costs is None else [COST_GROUP] * NUM_COST_FEATURES
        return [self.layout.columns[position].group for position, _ in self._plan] + costs

    def openness(self, X: Tensor, active: Tensor) -> tuple[Tensor, Tensor]:
        """Return how open the gates before each column are, `batch_shape x n x d`, and all gates together."""
        gates = sorted({gate for column in self.layout.columns for gate in column.gates})
        values = {gate: torch.where(active[..., gate], X[..., gate], 1.0) for gate in gates}
        ones = torch.ones_like(X[..., 0])
        of_column = [math.prod((values[gate] for gate in column.gates), start=ones) for column in self.layout.columns]
        return torch.stack(of_column, dim=-1), math.prod(values.values(), start=ones)

    def transform(self, X: Tensor) -> Tensor:
        """Map `batch_shape x n x d` to `batch_shape x n x f`, with two more columns where costs are known."""
        canonical = self.layout.canonical(X)
        active = self.layout.activity(canonical)
        of_column, of_all = self.openness(canonical, active)
        lower, upper = self.layout.bounds.to(X)
        scaled = torch.where(active, 2.0 * (canonical - lower) / (upper - lower) - 1.0, 0.0) * of_column
        features = []
        for position, levels in self._plan:
            if levels is None:
                features.append(scaled[..., position])
                continue
            level = canonical[..., position]
            indicator = torch.zeros_like(level)
            for value in levels:
                indicator = indicator + (level == value).to(level)
            features.append(torch.where(active[..., position], indicator, 0.0) * of_column[..., position])
        if self._known_costs is not None:
            rows = canonical.detach().reshape(-1, canonical.shape[-1])
            ranges = self._known_costs(rows).to(X).reshape(*canonical.shape[:-1], 2)
            least, greatest = ranges.unbind(dim=-1)
            features += [least.log(), (greatest / least).log() * of_all, least, greatest - least]
        return torch.stack(features, dim=-1)
