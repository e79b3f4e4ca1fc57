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

    An ordered discrete column or a continuous column becomes one feature, linear between -1 and 1. An unordered column
    becomes one indicator (0 or 1) per level. Inactive entries become 0, so that they have no influence of their own. An
    ordered column with children and more than two levels also gets an indicator of the levels at which its children are
    active: a part that is absent differs from the smallest part by more than one step.

    Features with gates are multiplied by the values of these gates, so that parts that few inputs reach have little
    influence. If costs are known, the threshold of an exit is replaced, as a gate and as a feature, by the share of
    inputs that go on at this exit.

    Columns of one kind also add what they have in common: each of their features, summed over these columns. A search
    then learns from a few rows that an operation is expensive or useful wherever it stands. Where costs are known,
    these sums are left out.

    The first known cost adds three features: the logarithms of the smallest and of the expected average cost, and the
    logarithm of the ratio of the largest to the smallest, multiplied by all gates. Three more columns per known cost
    follow for `OutcomeScaling`: the lower end and the width of its range, and the logit of the expected cost relative
    to this range.

    Args:
        layout: The `d` columns.
        known_costs: Cost of leaving at each exit; all have the same thresholds.
        exit_shares: Share of inputs that go on at a threshold; by default this share equals the threshold.
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
        # (column, None): the scaled column; (column, levels): whether the column is at one of these levels.
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
        """Map `batch_shape x n x d` to `batch_shape x n x f`, plus three columns per known cost."""
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
        """Return the smallest, the expected and the largest average cost, each `batch_shape x n`."""
        rows = canonical.detach().reshape(-1, canonical.shape[-1])
        is_active = active.reshape(rows.shape)[:, self._thresholds]
        costs = first_exit_costs(known_costs(rows).to(canonical), is_active)
        return average_cost(costs.reshape(*canonical.shape[:-1], -1), going_on)

    def _shares(self, canonical: Tensor, active: Tensor) -> tuple[Tensor, Tensor]:
        """Return columns scaled to [0, 1], and the share of inputs that go on at each exit, `batch_shape x n x E`.

        In the scaled columns, these shares replace the thresholds of exits with known costs. Gates are not scaled.
        """
        lower, upper = self.layout.bounds.to(canonical)
        is_gate = torch.tensor([column.is_gate for column in self.layout.columns])
        shares = torch.where(is_gate, canonical, (canonical - lower) / (upper - lower))
        going_on = self._exit_shares.going_on(canonical[..., self._thresholds], active[..., self._thresholds])
        if self._thresholds:
            shares = shares.index_copy(-1, torch.tensor(self._thresholds), going_on)
        return shares, going_on

    def _openness(self, shares: Tensor, active: Tensor) -> tuple[Tensor, Tensor]:
        """Return the product of each column's gates, `batch_shape x n x d`, and of all gates, `batch_shape x n`."""
        gates = sorted({gate for column in self.layout.columns for gate in column.gates})
        values = {gate: torch.where(active[..., gate], shares[..., gate], 1.0) for gate in gates}
        ones = torch.ones_like(shares[..., 0])
        of_column = [math.prod((values[gate] for gate in column.gates), start=ones) for column in self.layout.columns]
        return torch.stack(of_column, dim=-1), math.prod(values.values(), start=ones)
