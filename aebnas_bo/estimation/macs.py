"""Multiply-accumulate operations of a network, from its architecture alone.

Convolutions and linear layers count, nothing else: exactly half of what `torch.utils.flop_counter` reports
for the plain network.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import accumulate

from aebnas_bo.space.architecture import Architecture, Skeleton
from aebnas_bo.space.plan import BranchPlan, network_plan


@dataclass(frozen=True)
class ExitCosts:
    """Costs of one image, per output: active exits in order, then the final classifier.

    Args:
        backbone: MACs of the backbone up to the output (for the last one with head and classifier).
        branch: MACs of the output's own branch; 0 for the final classifier.
    """

    backbone: tuple[int, ...]
    branch: tuple[int, ...]

    @property
    def cumulative(self) -> tuple[int, ...]:
        """What leaving at each output costs: backbone up to there and every active branch up to there."""
        branches = accumulate(self.branch)
        return tuple(backbone + so_far for backbone, so_far in zip(self.backbone, branches, strict=True))

    @property
    def cumulative_without_earlier_branches(self) -> tuple[int, ...]:
        """The same without the branches passed on the way, as NACHOS and EDANAS count."""
        return tuple(backbone + own for backbone, own in zip(self.backbone, self.branch, strict=True))


def exit_costs(architecture: Architecture, skeleton: Skeleton) -> ExitCosts:
    """Count a network's MACs per output.

    Args:
        architecture: The network.
        skeleton: The fixed part of its space.
    """
    plan = network_plan(architecture, skeleton)
    backbone, branch = [], []
    reached = plan.stem.macs
    for stage, blocks in enumerate(plan.stages):
        reached += sum(convolution.macs for block in blocks for convolution in block.convolutions)
        for position, branch_plan in enumerate(plan.branches):
            if branch_plan is not None and skeleton.exit_stages[position] == stage:
                backbone.append(reached)
                branch.append(_branch_macs(branch_plan, skeleton.num_classes))
    head = plan.head.macs if plan.head else 0
    backbone.append(reached + head + plan.classifier_channels * skeleton.num_classes)
    return ExitCosts(tuple(backbone), (*branch, 0))


def _branch_macs(plan: BranchPlan, num_classes: int) -> int:
    convolutions = sum(convolution.macs for layer in plan.layers for convolution in layer.convolutions)
    return convolutions + plan.classifier_channels * num_classes
