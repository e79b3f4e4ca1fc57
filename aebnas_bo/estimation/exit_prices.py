"""Cost of leaving at each exit, which needs no evaluation: the known part of average costs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import accumulate

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from aebnas_bo.estimation.latency import NANOSECONDS_PER_MS, LatencyPrices
from aebnas_bo.space.macs import MACS_PER_MILLION, MacsPrices, PartPrices
from aebnas_bo.space.network_space import NetworkSpace, threshold_name
from aebnas_bo.space.plan import ConvPlan, branch_plan, head_plan, point_branch_plan, stage_plan, stem_plan
from aebnas_bo.space.search_space import ChoiceParameter, Point

MOST_CACHED = 200_000  # costs of one part; each entry is an integer and a short key
Levels = npt.NDArray[np.int16]  # n x d; values in continuous columns are ignored
PricesOfRows = npt.NDArray[np.int64]  # n


@dataclass(frozen=True)
class _Part:
    """Stage, branch, stem or head of a network, with a cache of its costs.

    Args:
        columns: Columns of the genes that determine its cost.
        count: Function from these genes to the cost of the part.
    """

    columns: list[int]
    count: Callable[[Point], int]
    known: dict[bytes, int] = field(default_factory=dict)

    def prices(self, levels: Levels, genes_of: Callable[[int], Point]) -> PricesOfRows:
        """Return the price of the part in each row's network."""
        if len(self.known) > MOST_CACHED:
            self.known.clear()
        if not self.columns:
            return np.full(len(levels), self.count(genes_of(0)), dtype=np.int64)
        keys = np.ascontiguousarray(levels[:, self.columns]).view(f"V{2 * len(self.columns)}").ravel().tolist()
        for row, key in enumerate(keys):
            if key not in self.known:
                self.known[key] = self.count(genes_of(row))
        return np.array([self.known[key] for key in keys], dtype=np.int64)


class ExitPrices:
    """Cost of leaving at each exit, for encoded points of a network space; see `surrogates.known_costs`.

    The cost of a stage or branch depends on its own parameters, the resolution and the width of the previous stage. The
    costs of parts are cached and summed per network, because candidates of one proposal share most parts.

    Args:
        space: The space whose `search_space.encode` wrote the rows.
        prices: Cost of each part.
        outcome: Name of the metric whose average these costs determine.
        unit: Number of price units in one unit of the metric.
    """

    def __init__(self, space: NetworkSpace, prices: PartPrices, *, outcome: str, unit: float) -> None:
        self.outcome = outcome
        self._prices = prices
        self._unit = unit
        self._space = space
        self._parameters = [
            (position, parameter)
            for position, parameter in enumerate(space.search_space.parameters)
            if isinstance(parameter, ChoiceParameter)
        ]
        names = space.search_space.names
        self._with_threshold = [n for n in range(len(space.declaration.exits)) if threshold_name(n) in names]
        self.thresholds = tuple(names.index(threshold_name(n)) for n in self._with_threshold)
        self._branches = [
            self._part(f"exit{n}", stage + 1, partial(self._branch_price, n))
            for n, stage in enumerate(space.skeleton.exit_stages, 1)
        ]
        given = space.skeleton.given
        if given is not None:  # prices that no parameter changes
            *pieces, head = (_Part([], partial(_fixed_price, price)) for price in prices.pieces(given))
            self._stem, self._stages, self._head = _Part([], partial(_fixed_price, 0)), pieces, head
            return
        last = self._num_stages = len(space.declaration.stages)
        ends = ["width", "depth"] if 0 in space.declaration.stages[-1].depths else ["width"]
        read_by_head = [f"stage{last}_{gene}" for gene in ends] + [f"stage{last - 1}_width"] * (len(ends) - 1)
        self._stem = self._part("", 1, self._stem_price)
        self._stages = [self._part(f"stage{n}", n - 1, partial(self._stage_price, n)) for n in range(1, last + 1)]
        self._head = self._part("", last, self._head_price, also=read_by_head)

    def _part(self, group: str, stage_before: int, count: Callable[[Point], int], *, also: Sequence[str] = ()) -> _Part:
        others = {"resolution", f"stage{stage_before}_width", *also}
        columns = [
            column for column, parameter in self._parameters if parameter.group == group or parameter.name in others
        ]
        return _Part(columns, count)

    def __call__(self, X: Tensor) -> Tensor:
        """Return the costs of all exits and of the final classifier, `n x (E + 1)`, for canonical rows, `n x d`."""
        levels = X.detach().cpu().numpy().astype(np.int16)

        def genes_of(row: int) -> Point:
            return {parameter.name: parameter.values[levels[row, column]] for column, parameter in self._parameters}

        def price(part: _Part) -> PricesOfRows:
            return part.prices(levels, genes_of)

        backbone = list(accumulate(map(price, self._stages), initial=price(self._stem)))
        passed = list(accumulate(map(price, self._branches)))
        exits = [backbone[stage + 1] + passed[n] for n, stage in enumerate(self._space.skeleton.exit_stages)]
        last = backbone[-1] + price(self._head) + (passed[-1] if passed else 0)
        costs = np.stack([*(exits[n] for n in self._with_threshold), last], axis=-1)
        return torch.from_numpy(costs).to(X) / self._unit

    def _input_of(self, genes: Point, number: int) -> tuple[int, int]:
        """Return channels and side of a stage's input; stages count from 1, and the head follows the last stage."""
        skeleton = self._space.skeleton
        side = self._space.resolution(genes)
        for stride in (skeleton.stem_stride, *skeleton.stage_strides[: number - 1]):
            side = -(-side // stride)
        return self._space.width(genes, number - 1) if number > 1 else self._stem_plan(genes).out_channels, side

    def _stem_price(self, genes: Point) -> int:
        return self._prices.stem(self._stem_plan(genes))

    def _stem_plan(self, genes: Point) -> ConvPlan:
        return stem_plan(self._space.resolution(genes), self._space.width(genes, 1), self._space.skeleton)

    def _stage_price(self, number: int, genes: Point) -> int:
        channels, side = self._input_of(genes, number)
        skeleton, stage = self._space.skeleton, self._space.stage(genes, number)
        is_squeezed = number - 1 in skeleton.squeezed_stages
        return self._prices.stage(
            stage_plan(
                stage,
                in_channels=channels,
                side=side,
                stride=skeleton.stage_strides[number - 1],
                is_squeezed=is_squeezed,
            )
        )

    def _branch_price(self, number: int, genes: Point) -> int:
        branch, skeleton = self._space.exit_branch(genes, number), self._space.skeleton
        if branch is None:
            return 0
        stage, given = skeleton.exit_stages[number - 1], skeleton.given
        if given is not None:
            return self._prices.branch(point_branch_plan(branch, given.points[stage], stride=skeleton.branch_stride))
        channels, side = self._input_of(genes, stage + 2)
        return self._prices.branch(branch_plan(branch, channels, side, stride=skeleton.branch_stride))

    def _head_price(self, genes: Point) -> int:
        is_last_absent = not self._space.stage(genes, self._num_stages).blocks
        channels, side = self._input_of(genes, self._num_stages + 1 - is_last_absent)
        return self._prices.head(head_plan(channels, side, self._space.skeleton), channels, side)


def _fixed_price(price: int, _: Point) -> int:
    return price


def exit_macs(space: NetworkSpace) -> ExitPrices:
    """Return the costs of leaving at each exit in millions of MACs."""
    return ExitPrices(space, MacsPrices(space.skeleton), outcome="average_macs", unit=MACS_PER_MILLION)


def exit_latencies(space: NetworkSpace, latencies: LatencyPrices) -> ExitPrices:
    """Return the costs of leaving at each exit in milliseconds."""
    return ExitPrices(space, latencies, outcome="latency_ms", unit=NANOSECONDS_PER_MS)
