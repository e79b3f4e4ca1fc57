"""Transform of canonical rows into kernel features."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from botorch.models.transforms.input import InputTransform
from torch import Tensor
from torch.nn import Module

from surrogates.columns import ColumnLayout
from surrogates.known_costs import ExitShares, KnownCosts, average_cost, first_exit_costs, logit_of_share

COST_GROUP = "costs"
NUM_COST_FEATURES = 3


class CanonicalFeatures(InputTransform, Module):
    """Input transform from `d` columns to `f` features in [-1, 1].

    An ordered discrete or continuous column becomes one feature, linear between -1 and 1; an unordered column one
    indicator per level (0 or 1). A switched-off entry becomes 0, so that it has no influence beyond the parent
    that switched it off. A column with children and more than two levels also gets an indicator of being at a
    level that switches something on, because a thing's absence is more than one step away from its smallest form.

    A feature behind gates is multiplied by them, so that parts reached by few inputs have little influence. If costs
    are known, a threshold enters, as a gate and as a feature, as the fraction of inputs that do not leave there.

    Columns of one kind also add what they have in common: each of their features, summed over these columns. So a
    search learns from a few rows that an operation, say, is expensive or useful wherever it stands. Where costs are
    known, these sums are left out.

    The first known cost adds the logarithms of the least and of the expected average cost and, behind all gates, that
    of the ratio of the greatest to the least. After the features follow, for `OutcomeScaling`, of every known cost its
    range's lower end and width and the logit of the expected cost's share of it.

    Args:
        layout: The `d` columns.
        known_costs: What leaving at each exit costs, all with the same thresholds.
        exit_shares: How many inputs go on at a threshold; by default as many as it says.
    """

    def __init__(
        self, layout: ColumnLayout, known_costs: Sequence[KnownCosts] = (), exit_shares: ExitShares | None = None
    ) -> None:
        super().__init__()
        self.transform_on_train = True
        self.transform_on_eval = True
        self.transform_on_fantasize = True
        self.is_one_to_many = False
        self.layout = layout
        self._known_costs = tuple(known_costs)
        columns = self._known_costs[0].thresholds if self._known_costs else ()
        self._thresholds = list(columns)
        self._exit_shares = exit_shares or ExitShares(torch.zeros(len(columns), 2, dtype=torch.float64))
        # (column, None) scales the column; (column, levels) indicates one of these levels.
        self._plan: list[tuple[int, tuple[int, ...] | None]] = []
        for position, column in enumerate(layout.columns):
            if column.is_ordered:
                self._plan.append((position, None))
            else:
                self._plan += [(position, (level,)) for level in range(column.num_levels)]
            self._plan += [(position, levels) for levels in self._switches(position)]
        self._sums = [] if self._known_costs else self._sums_by_kind()

    def _sums_by_kind(self) -> list[tuple[str, list[int]]]:
        """Return the group of each sum over the columns of a kind, and which features of the plan it adds."""
        members: dict[str, list[list[int]]] = {}
        for position, column in enumerate(self.layout.columns):
            if column.kind:
                count = 1 if column.is_ordered else column.num_levels  # first those of levels, then the switches
                own = [index for index, (of_column, _) in enumerate(self._plan) if of_column == position][:count]
                members.setdefault(column.kind, []).append(own)
        shared = {kind: features for kind, features in members.items() if len(features) > 1}
        return [(f"sum over {kind}", list(summed)) for kind, own in shared.items() for summed in zip(*own, strict=True)]

    def _switches(self, position: int) -> list[tuple[int, ...]]:
        column = self.layout.columns[position]
        if not column.is_ordered or column.num_levels <= 2:
            return []
        levels = {c.parent_levels for c in self.layout.columns if c.parent == position}
        return sorted(levels, key=len, reverse=True)[:1]

    @property
    def groups(self) -> list[str]:
        """Group of each of the `f` features."""
        costs = [COST_GROUP] * NUM_COST_FEATURES if self._known_costs else []
        own = [self.layout.columns[position].group for position, _ in self._plan]
        return own + [group for group, _ in self._sums] + costs

    def transform(self, X: Tensor) -> Tensor:
        """Map `batch_shape x n x d` to `batch_shape x n x f`, with three more columns for each known cost."""
        canonical = self.layout.canonical(X)
        active = self.layout.activity(canonical)
        shares, going_on = self._shares(canonical, active)
        of_column, of_all = self._openness(shares, active)
        lower, upper = self.layout.bounds.to(X)
        levels_to_unit = torch.where(self.layout.is_discrete, (canonical - lower) / (upper - lower), shares)
        scaled = torch.where(active, 2.0 * levels_to_unit - 1.0, 0.0) * of_column
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
        features += [
            torch.stack([features[index] for index in summed]).sum(dim=0) / math.sqrt(len(summed))
            for _, summed in self._sums
        ]
        ranges = [self._range(known, canonical, active, going_on=going_on) for known in self._known_costs]
        for least, expected, greatest in ranges[:1]:
            features += [least.log(), expected.log(), (greatest / least).log() * of_all]
        for least, expected, greatest in ranges:
            features += [least, greatest - least, logit_of_share(expected, least, greatest - least)]
        return torch.stack(features, dim=-1)

    def _range(
        self, known_costs: KnownCosts, canonical: Tensor, active: Tensor, *, going_on: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Return the least, the expected and the greatest average cost, `batch_shape x n` each."""
        rows = canonical.detach().reshape(-1, canonical.shape[-1])
        is_active = active.reshape(rows.shape)[:, self._thresholds]
        costs = first_exit_costs(known_costs(rows).to(canonical), is_active)
        return average_cost(costs.reshape(*canonical.shape[:-1], -1), going_on)

    def _shares(self, canonical: Tensor, active: Tensor) -> tuple[Tensor, Tensor]:
        """Return continuous columns as shares of their range, thresholds of known exits as shares of inputs going on.

        The latter also alone, `batch_shape x n x E`.
        """
        lower, upper = self.layout.bounds.to(canonical)
        is_gate = torch.tensor([column.is_gate for column in self.layout.columns])
        shares = torch.where(is_gate, canonical, (canonical - lower) / (upper - lower))
        going_on = self._exit_shares.going_on(canonical[..., self._thresholds], active[..., self._thresholds])
        if self._thresholds:
            shares = shares.index_copy(-1, torch.tensor(self._thresholds), going_on)
        return shares, going_on

    def _openness(self, shares: Tensor, active: Tensor) -> tuple[Tensor, Tensor]:
        """Return how open the gates before each column are, `batch_shape x n x d`, and all gates together."""
        gates = sorted({gate for column in self.layout.columns for gate in column.gates})
        values = {gate: torch.where(active[..., gate], shares[..., gate], 1.0) for gate in gates}
        ones = torch.ones_like(shares[..., 0])
        of_column = [math.prod((values[gate] for gate in column.gates), start=ones) for column in self.layout.columns]
        return torch.stack(of_column, dim=-1), math.prod(values.values(), start=ones)
