"""The cheapest and the most expensive network of a space, exactly, without enumerating it.

MACs are summed over stages, and the cost of a stage depends on earlier stages only through the channels and the side of
its input. Dynamic programming therefore keeps only the best path to each number of channels.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import partial
from itertools import product
from typing import Literal

from aebnas_bo.space.architecture import Architecture, Block, BranchLayer, ExitBranch, Stage
from aebnas_bo.space.declaration import BranchLayerChoices
from aebnas_bo.space.given_backbone import GivenBackbone, TokenPooling
from aebnas_bo.space.macs import MacsPrices, exit_costs
from aebnas_bo.space.network_space import NetworkSpace
from aebnas_bo.space.plan import branch_plan, head_plan, stage_plan, stem_plan

Which = Literal["cheapest", "most expensive"]
Branch = tuple[int, tuple[BranchLayer, ...]]  # MACs, layers


@dataclass(frozen=True)
class _Path:
    """A network up to some stage: its MACs so far, the channels and the side of its maps."""

    macs: int
    channels: int
    side: int
    stages: tuple[Stage, ...] = ()
    exits: tuple[ExitBranch | None, ...] = ()


def extreme_network(space: NetworkSpace, which: Which) -> Architecture:
    """Return the network with the fewest or most MACs up to the final classifier, all branches included.

    Args:
        space: The space.
        which: End of the range of costs.
    """
    search = _Search(space, which)
    given = space.skeleton.given
    if given is not None:
        return Architecture(given.resolution, (), search.branches_of_given(given))
    found = [(search.at(resolution), resolution) for resolution in space.declaration.resolutions]
    path, resolution = min(found, key=lambda one: search.sign * one[0].macs)
    return Architecture(resolution, path.stages, path.exits)


def possible_macs(space: NetworkSpace) -> tuple[int, int]:
    """Return a lower bound (cheapest stem) and an upper bound of the MACs of an image in any network.

    Args:
        space: The space.
    """
    largest = exit_costs(extreme_network(space, "most expensive"), space.skeleton)
    if space.skeleton.given is not None:
        return space.skeleton.given.points[0].macs, largest.cumulative[-1]
    stems = [
        stem_plan(resolution, width, space.skeleton).macs
        for resolution in space.declaration.resolutions
        for width in space.declaration.stages[0].widths
    ]
    return min(stems), largest.cumulative[-1]


def never_saves(space: NetworkSpace, position: int) -> bool:
    """Return whether in every network the cheapest branch of an exit costs as much as the whole backbone behind it.

    Args:
        space: The space.
        position: Position of the exit, from 0.
    """
    declaration, number = space.declaration, space.skeleton.exit_stages[position]
    given = space.skeleton.given
    if given is not None:
        point = given.points[number]
        own = _Search(space, "cheapest").branch(position, point.channels, point.side)
        return own is None or own[0] >= given.macs - point.macs
    cheapest, largest = _Search(space, "cheapest"), _Search(space, "most expensive")
    for resolution, width in product(declaration.resolutions, declaration.stages[number].widths):
        side = sides(space, resolution)[number + 1]
        rest = largest.behind(_Path(0, width, side), number)
        branch = cheapest.branch(position, width, side)
        if branch is None or branch[0] < rest:
            return False
    return True


def sides(space: NetworkSpace, resolution: int) -> list[int]:
    """Return the side in pixels of the maps that the stem and each stage put out.

    Args:
        space: The space.
        resolution: Side of the image in pixels.
    """
    found = [resolution]
    for stride in (space.skeleton.stem_stride, *space.skeleton.stage_strides):
        found.append(-(-found[-1] // stride))
    return found[1:]


class _Search:
    """Keeps the cheapest or, with a negative sign, the most expensive candidate."""

    def __init__(self, space: NetworkSpace, which: Which) -> None:
        self.sign = 1 if which == "cheapest" else -1
        self._space = space
        self._skeleton, self._stages = space.skeleton, space.declaration.stages

    def at(self, resolution: int) -> _Path:
        """Return the extreme network of a resolution, head included."""
        starts = []
        for width in self._stages[0].widths:
            stem = stem_plan(resolution, width, self._skeleton)
            start = _Path(stem.macs, stem.out_channels, stem.side)
            starts += [self._with_exits(path, 0) for path in self._after_stage([start], 0, (width,))]
        return self._end(starts, 0, with_exits=True)

    def branches_of_given(self, given: GivenBackbone) -> tuple[ExitBranch | None, ...]:
        """Return the extreme branch at every exit of a given backbone; attention costs most of all ways to pool."""
        path = _Path(given.macs, 0, 0)
        for number, point in enumerate(given.points):
            path = self._with_exits(replace(path, channels=point.channels, side=point.side), number)
        choices = [exit_.poolings for exit_ in self._space.declaration.exits]
        return tuple(
            branch if branch is None or not poolings else replace(branch, pooling=self._pooling(poolings))
            for branch, poolings in zip(path.exits, choices, strict=True)
        )

    def _pooling(self, poolings: tuple[TokenPooling, ...]) -> TokenPooling:
        return min(poolings, key=lambda one: self.sign * (one == "attention"))

    def behind(self, path: _Path, number: int) -> int:
        """Return the extreme MACs of everything in the backbone behind a stage, head and final classifier included."""
        return self._end([path], number, with_exits=False).macs

    def branch(self, position: int, channels: int, side: int) -> Branch | None:
        """Return the extreme branch of an exit, its classifier included; `None` where there never is one."""
        choices, outputs = self._space.declaration.exits[position], self._skeleton.exit_outputs
        states: dict[tuple[int, int], Branch] = {(channels, side): (0, ())}
        found: list[Branch] = []
        for depth in range(1, max(choices.depths) + 1):
            if depth in choices.depths:
                found += [(macs + state[0] * outputs, layers) for state, (macs, layers) in states.items()]
            if depth <= len(choices.layers):
                states = self._after_layer(states, choices.layers[depth - 1])
        return min(found, key=lambda one: self.sign * one[0]) if found else None

    def _end(self, paths: list[_Path], number: int, with_exits: bool) -> _Path:
        last = len(self._stages) - 1
        for later in range(number + 1, len(self._stages)):
            before, choices = paths, self._stages[later]
            paths = self._after_stage(paths, later, choices.widths)
            if with_exits:
                paths = [self._with_exits(path, later) for path in paths]
            if later == last and 0 in choices.depths:
                paths = [*paths, *(replace(path, stages=(*path.stages, Stage(0, ()))) for path in before)]
        return self._best(map(self._with_head, paths))

    def _best(self, paths: Iterable[_Path]) -> _Path:
        return min(paths, key=lambda path: self.sign * path.macs)

    def _with_head(self, path: _Path) -> _Path:
        plan = head_plan(path.channels, path.side, self._skeleton)
        return replace(path, macs=path.macs + MacsPrices(self._skeleton).head(plan, path.channels, path.side))

    def _after_stage(self, paths: list[_Path], number: int, widths: Iterable[int]) -> list[_Path]:
        """Return the best path to each width of a stage, the stage present."""
        depths = [depth for depth in self._stages[number].depths if depth > 0]
        return [
            self._best(self._through(path, number, width=width, depth=depth) for path in paths for depth in depths)
            for width in widths
        ]

    def _through(self, path: _Path, number: int, *, width: int, depth: int) -> _Path:
        macs, channels, side, blocks = path.macs, path.channels, path.side, []
        for position in range(depth):
            stride = self._stages[number].stride if position == 0 else 1
            cost, block, side = self._block(number, (channels, width), side=side, stride=stride)
            macs, channels = macs + cost, width
            blocks.append(block)
        return _Path(macs, width, side, (*path.stages, Stage(width, tuple(blocks))), path.exits)

    def _block(self, number: int, channels: tuple[int, int], *, side: int, stride: int) -> tuple[int, Block, int]:
        """Return the MACs of the extreme block, the block, and the side of its output."""
        is_squeezed = number in self._skeleton.squeezed_stages
        plan_of = partial(stage_plan, in_channels=channels[0], side=side, stride=stride, is_squeezed=is_squeezed)
        plans = [(plan_of(Stage(channels[1], (block,)))[0], block) for block in self._stages[number].blocks]
        costs = [(plan.macs, block, plan.convolutions[-1].side) for plan, block in plans]
        return min(costs, key=lambda one: self.sign * one[0])

    def _with_exits(self, path: _Path, number: int) -> _Path:
        for position in (n for n, stage in enumerate(self._skeleton.exit_stages) if stage == number):
            is_left_out = 0 in self._space.declaration.exits[position].depths and self.sign > 0
            branch = None if is_left_out else self.branch(position, path.channels, path.side)
            if branch is None:
                path = replace(path, exits=(*path.exits, None))
            else:
                path = replace(path, macs=path.macs + branch[0], exits=(*path.exits, ExitBranch(branch[1])))
        return path

    def _after_layer(
        self, states: dict[tuple[int, int], Branch], options: BranchLayerChoices
    ) -> dict[tuple[int, int], Branch]:
        found: dict[tuple[int, int], Branch] = {}
        choices = (options.kinds, options.kernels, options.expansions, options.pools, options.upsamples)
        for (state, (macs, layers)), genes in product(states.items(), product(*choices)):
            layer = BranchLayer(*genes)
            plan = branch_plan(ExitBranch((layer,)), *state, stride=self._skeleton.branch_stride)
            cost = macs + sum(convolution.macs for convolution in plan.layers[0].convolutions)
            reached = (plan.classifier_channels, plan.classifier_side)
            here = (cost, (*layers, layer))
            found[reached] = min(found.get(reached, here), here, key=lambda one: self.sign * one[0])
        return found
