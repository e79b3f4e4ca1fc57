"""Cost of the parts of a network from its architecture, mainly in multiply-accumulate operations (MACs).

MACs include only convolutions and linear layers, and equal half of the count of `torch.utils.flop_counter` for the
plain network. Other prices of parts, such as nanoseconds, are summed in the same way.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate
from typing import Protocol

from aebnas_bo.space.architecture import Architecture, Skeleton
from aebnas_bo.space.given_backbone import GivenBackbone
from aebnas_bo.space.plan import BlockPlan, BranchPlan, ConvPlan, branch_plans, network_plan

MACS_PER_MILLION = 1e6


def millions(macs: float) -> float:
    """Return MACs in millions, the unit of settings, tables and figures."""
    return macs / MACS_PER_MILLION


class PartPrices(Protocol):
    """Cost of each part of a network, in whole units."""

    def stem(self, plan: ConvPlan) -> int:
        """Return the price of the stem."""

    def stage(self, blocks: Sequence[BlockPlan]) -> int:
        """Return the price of one backbone stage."""

    def branch(self, plan: BranchPlan) -> int:
        """Return the price of an exit branch, its classifier included."""

    def head(self, plan: ConvPlan | None, channels: int, side: int) -> int:
        """Return the price of head, if there is one, and final classifier.

        Args:
            plan: The head.
            channels: Channels of the last stage.
            side: Side of its output in pixels.
        """

    def pieces(self, given: GivenBackbone) -> tuple[int, ...]:
        """Return the price of every piece of a given backbone: up to each point, then from the last one to the end."""


@dataclass(frozen=True)
class MacsPrices:
    """MACs of the parts.

    Args:
        skeleton: The fixed part of the space, which says how many outputs classifiers have.
    """

    skeleton: Skeleton

    def stem(self, plan: ConvPlan) -> int:
        """Return the MACs of the stem."""
        return plan.macs

    def stage(self, blocks: Sequence[BlockPlan]) -> int:
        """Return the MACs of one backbone stage."""
        return sum(block.macs for block in blocks)

    def branch(self, plan: BranchPlan) -> int:
        """Return the MACs of an exit branch, its classifier included."""
        convolutions = sum(convolution.macs for layer in plan.layers for convolution in layer.convolutions)
        reader = plan.reader.macs if plan.reader is not None else 0
        return reader + convolutions + plan.classifier_channels * self.skeleton.exit_outputs

    def head(self, plan: ConvPlan | None, channels: int, side: int) -> int:  # noqa: ARG002  pooling is no MAC
        """Return the MACs of head and final classifier."""
        num_classes = self.skeleton.num_classes
        return channels * num_classes if plan is None else plan.macs + plan.out_channels * num_classes

    def pieces(self, given: GivenBackbone) -> tuple[int, ...]:
        """Return the MACs of every piece of a given backbone."""
        return given.piece_macs


@dataclass(frozen=True)
class ExitCosts:
    """Costs of one image, by part of the network and by output: active exits in order, then the final classifier.

    Args:
        stem: Price of the stem, MACs where nothing else is said; 0 for a given backbone.
        stages: Price of each backbone stage, or of each piece of a given backbone up to its last point.
        head: Price of the head, if there is one, and of the final classifier; of a given backbone behind that point.
        branches: Price of each active exit's branch, its classifier included.
        exits: Position (from 0) of each active exit, which names it.
        exit_stages: Stage or piece (from 0) after which each active exit's branch sits.
    """

    stem: int
    stages: tuple[int, ...]
    head: int
    branches: tuple[int, ...]
    exits: tuple[int, ...]
    exit_stages: tuple[int, ...]

    @cached_property
    def backbone(self) -> tuple[int, ...]:
        """Price of the backbone up to each output; for the last one with head and classifier."""
        reached = list(accumulate(self.stages, initial=self.stem))
        return (*(reached[stage + 1] for stage in self.exit_stages), reached[-1] + self.head)

    @cached_property
    def cumulative(self) -> tuple[int, ...]:
        """Cost of leaving at each output: backbone and all active branches up to it."""
        branches = accumulate((*self.branches, 0))
        return tuple(backbone + so_far for backbone, so_far in zip(self.backbone, branches, strict=True))

    @cached_property
    def cumulative_without_earlier_branches(self) -> tuple[int, ...]:
        """Cost of leaving at each output without the branches of earlier exits, as NACHOS and EDANAS count."""
        return tuple(backbone + own for backbone, own in zip(self.backbone, (*self.branches, 0), strict=True))

    def breakdown(self, charges_earlier_branches: bool = True) -> tuple[dict[str, int], ...]:
        """Return the cost of every part up to each output: `stem`, `stage1`, `exit1` ..., `head`, counted from 1.

        Args:
            charges_earlier_branches: Whether to include the branches of earlier exits, so that the sum is `cumulative`;
                otherwise the sum is `cumulative_without_earlier_branches`.
        """
        parts = []
        for output in range(len(self.branches) + 1):
            is_final = output == len(self.branches)
            last_stage = len(self.stages) - 1 if is_final else self.exit_stages[output]
            paid = {"stem": self.stem}
            paid |= {f"stage{stage + 1}": self.stages[stage] for stage in range(last_stage + 1)}
            first = 0 if charges_earlier_branches else output
            paid |= {
                f"exit{self.exits[passed] + 1}": self.branches[passed]
                for passed in range(first, min(output + 1, len(self.branches)))
            }
            parts.append({**paid, "head": self.head} if is_final else paid)
        return tuple(parts)


def exit_costs(architecture: Architecture, skeleton: Skeleton) -> ExitCosts:
    """Count a network's MACs.

    Args:
        architecture: The network.
        skeleton: The fixed part of its space.
    """
    return priced(architecture, skeleton, MacsPrices(skeleton))


def priced(architecture: Architecture, skeleton: Skeleton, prices: PartPrices) -> ExitCosts:
    """Price a network's parts.

    Args:
        architecture: The network.
        skeleton: The fixed part of its space.
        prices: Price of each part.
    """
    if skeleton.given is not None:
        *stages, head = prices.pieces(skeleton.given)
        stem = 0
    else:
        plan = network_plan(architecture, skeleton)
        stem, stages = prices.stem(plan.stem), [prices.stage(blocks) for blocks in plan.stages]
        head = prices.head(plan.head, plan.last_channels, plan.last_side)
    active = architecture.active_exits
    return ExitCosts(
        stem=stem,
        stages=tuple(stages),
        head=head,
        branches=tuple(prices.branch(branch) for branch in branch_plans(architecture, skeleton) if branch is not None),
        exits=active,
        exit_stages=tuple(skeleton.exit_stages[position] for position in active),
    )
