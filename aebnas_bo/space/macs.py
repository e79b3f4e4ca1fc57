"""Multiply-accumulate operations of a network, from its architecture alone.

Convolutions and linear layers count, nothing else: exactly half of what `torch.utils.flop_counter` reports
for the plain network.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate

from aebnas_bo.space.architecture import Architecture, Skeleton
from aebnas_bo.space.plan import BlockPlan, BranchPlan, ConvPlan, network_plan

MACS_PER_MILLION = 1e6


@dataclass(frozen=True)
class ExitCosts:
    """Costs of one image, by part of the network and by output: active exits in order, then the final classifier.

    Args:
        stem: MACs of the stem.
        stages: MACs of each backbone stage.
        head: MACs of the head, if there is one, and of the final classifier.
        branches: MACs of each active exit's branch, its classifier included.
        exits: Position (from 0) of each active exit, which names it.
        exit_stages: Stage (from 0) after which each active exit's branch sits.
    """

    stem: int
    stages: tuple[int, ...]
    head: int
    branches: tuple[int, ...]
    exits: tuple[int, ...]
    exit_stages: tuple[int, ...]

    @cached_property
    def backbone(self) -> tuple[int, ...]:
        """MACs of the backbone up to each output; for the last one with head and classifier."""
        reached = list(accumulate(self.stages, initial=self.stem))
        return (*(reached[stage + 1] for stage in self.exit_stages), reached[-1] + self.head)

    @cached_property
    def cumulative(self) -> tuple[int, ...]:
        """What leaving at each output costs: backbone up to there and every active branch up to there."""
        branches = accumulate((*self.branches, 0))
        return tuple(backbone + so_far for backbone, so_far in zip(self.backbone, branches, strict=True))

    @cached_property
    def cumulative_without_earlier_branches(self) -> tuple[int, ...]:
        """The same without the branches passed on the way, as NACHOS and EDANAS count."""
        return tuple(backbone + own for backbone, own in zip(self.backbone, (*self.branches, 0), strict=True))

    def breakdown(self, charges_earlier_branches: bool = True) -> tuple[dict[str, int], ...]:
        """Say what leaving at each output pays for: `stem`, `stage1`, `exit1` ..., `head`, all counted from 1.

        Args:
            charges_earlier_branches: Whether branches passed on the way count, as in `cumulative`; otherwise only the
                output's own, as in `cumulative_without_earlier_branches`. Either is the sum of what is returned.
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
    plan = network_plan(architecture, skeleton)
    active = architecture.active_exits
    return ExitCosts(
        stem=plan.stem.macs,
        stages=tuple(stage_macs(blocks) for blocks in plan.stages),
        head=head_macs(plan.head, plan.stages[-1][-1].convolutions[-1].out_channels, skeleton.num_classes),
        branches=tuple(branch_macs(branch, skeleton.exit_outputs) for branch in plan.branches if branch is not None),
        exits=active,
        exit_stages=tuple(skeleton.exit_stages[position] for position in active),
    )


def stage_macs(blocks: Sequence[BlockPlan]) -> int:
    """Return the MACs of one backbone stage."""
    return sum(convolution.macs for block in blocks for convolution in block.convolutions)


def head_macs(head: ConvPlan | None, channels: int, num_classes: int) -> int:
    """Return the MACs behind the last stage, which has `channels`: of the head, if there is one, and the classifier."""
    return channels * num_classes if head is None else head.macs + head.out_channels * num_classes


def branch_macs(plan: BranchPlan, num_outputs: int) -> int:
    """Return the MACs of an exit branch, its classifier of so many outputs included."""
    convolutions = sum(convolution.macs for layer in plan.layers for convolution in layer.convolutions)
    return convolutions + plan.classifier_channels * num_outputs
