"""What is known of average MACs before any image was seen: what leaving at each exit costs."""

from __future__ import annotations

from collections.abc import Callable
from itertools import accumulate

import torch
from torch import Tensor

from aebnas_bo.estimation.macs import MACS_PER_MILLION, branch_macs, head_macs, stage_macs
from aebnas_bo.space.network_space import NetworkSpace, threshold_name
from aebnas_bo.space.plan import branch_plan, head_plan, stage_plan, stem_plan
from aebnas_bo.space.search_space import ChoiceParameter, Point

MOST_CACHED = 1_000_000  # parts of networks; an integer and a short key each

Levels = tuple[float, ...]


class ExitMacs:
    """MACs, in millions, of leaving at each exit, at encoded points of a network space; see `surrogates.known_costs`.

    What a stage or a branch costs depends on its own parameters, the resolution and the width of the stage before, so
    the costs of parts are remembered and those of networks added up: candidates of one proposal share most parts.

    Args:
        space: The space whose `search_space.encode` wrote the rows.
    """

    outcome = "average_macs"

    def __init__(self, space: NetworkSpace) -> None:
        self._space = space
        self._parameters = [
            (position, parameter)
            for position, parameter in enumerate(space.search_space.parameters)
            if isinstance(parameter, ChoiceParameter)
        ]
        names = space.search_space.names
        self._with_threshold = [n for n in range(len(space.declaration.exits)) if threshold_name(n) in names]
        self.thresholds = tuple(names.index(threshold_name(n)) for n in self._with_threshold)
        num_stages = len(space.declaration.stages)
        self._stages = [self._columns(f"stage{n}", n - 1) for n in range(1, num_stages + 1)]
        self._exits = [self._columns(f"exit{n}", stage + 1) for n, stage in enumerate(space.skeleton.exit_stages, 1)]
        self._ends = self._columns("", num_stages)
        self._known: dict[tuple[str, int, Levels], int] = {}

    def _columns(self, group: str, stage_before: int) -> list[int]:
        """Return the columns that the cost of a part depends on."""
        others = {"resolution", f"stage{stage_before}_width"}
        return [
            column for column, parameter in self._parameters if parameter.group == group or parameter.name in others
        ]

    def __call__(self, X: Tensor) -> Tensor:
        """Return the MACs of every exit and of the last one, `n x (E + 1)`, of canonical rows, `n x d`."""
        if len(self._known) > MOST_CACHED:
            self._known.clear()
        costs = [self._costs(row) for row in X.detach().cpu().tolist()]
        shape = len(X), len(self.thresholds) + 1
        return torch.tensor(costs, dtype=X.dtype, device=X.device).reshape(shape) / MACS_PER_MILLION

    def _costs(self, row: list[float]) -> list[int]:
        def cost(kind: str, number: int, columns: list[int], count: Callable[[Point, int], int]) -> int:
            key = kind, number, tuple([row[column] for column in columns])
            found = self._known.get(key)
            if found is None:
                genes = {p.name: p.values[int(row[column])] for column, p in self._parameters}
                found = self._known[key] = count(genes, number)
            return found

        stem = cost("stem", 0, self._ends, self._stem_macs)
        stages = [cost("stage", n, columns, self._stage_macs) for n, columns in enumerate(self._stages, 1)]
        branches = [cost("exit", n, columns, self._branch_macs) for n, columns in enumerate(self._exits, 1)]
        passed = list(accumulate(branches))
        backbone = list(accumulate(stages, initial=stem))
        exits = [backbone[stage + 1] + passed[n] for n, stage in enumerate(self._space.skeleton.exit_stages)]
        last = backbone[-1] + (passed[-1] if passed else 0) + cost("head", 0, self._ends, self._head_macs)
        return [*(exits[n] for n in self._with_threshold), last]

    def _input_of(self, genes: Point, number: int) -> tuple[int, int]:
        """Return channels and side of what a stage, counted from 1, reads; one more than there are for the head."""
        skeleton = self._space.skeleton
        side = self._space.resolution(genes)
        for stride in (skeleton.stem_stride, *skeleton.stage_strides[: number - 1]):
            side = -(-side // stride)
        return self._space.width(genes, number - 1) if number > 1 else skeleton.stem_channels, side

    def _stem_macs(self, genes: Point, _: int) -> int:
        return stem_plan(self._space.resolution(genes), self._space.skeleton).macs

    def _stage_macs(self, genes: Point, number: int) -> int:
        channels, side = self._input_of(genes, number)
        stride = self._space.skeleton.stage_strides[number - 1]
        return stage_macs(stage_plan(self._space.stage(genes, number), channels, side, stride))

    def _branch_macs(self, genes: Point, number: int) -> int:
        branch, skeleton = self._space.exit_branch(genes, number), self._space.skeleton
        if branch is None:
            return 0
        channels, side = self._input_of(genes, skeleton.exit_stages[number - 1] + 2)
        return branch_macs(branch_plan(branch, channels, side, skeleton.branch_stride), skeleton.num_classes)

    def _head_macs(self, genes: Point, _: int) -> int:
        skeleton = self._space.skeleton
        channels, side = self._input_of(genes, len(self._stages) + 1)
        return head_macs(head_plan(channels, side, skeleton), channels, skeleton.num_classes)
