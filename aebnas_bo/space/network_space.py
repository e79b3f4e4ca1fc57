"""Converts a declaration into parameters, and a point into the network it encodes.

Names of parameters: `resolution`, `stage1_width`, `stage1_depth`, `stage1_block1_kind` (`_kernel`, `_expansion`),
`exit1_depth`, `exit1_pooling`, `exit1_layer1_kind` (`_kernel`, `_expansion`, `_pool`, `_upsample`), `exit1_threshold`;
all counted from 1. Values with a single choice are not parameters.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cached_property
from itertools import product
from typing import cast

from aebnas_bo.errors import SearchSpaceError
from aebnas_bo.space.architecture import Architecture, Block, BranchLayer, ExitBranch, Skeleton, Stage
from aebnas_bo.space.block_and_layer_kinds import LAYER_KINDS, LayerKind
from aebnas_bo.space.declaration import NetworkSpaceDeclaration, StageChoices
from aebnas_bo.space.given_backbone import TokenPooling
from aebnas_bo.space.macs import exit_costs
from aebnas_bo.space.search_space import (
    ChoiceParameter,
    Condition,
    ContinuousParameter,
    Parameter,
    ParameterValue,
    Point,
    SearchSpace,
)

LAYER_GENES = ("kind", "kernel", "expansion", "pool", "upsample")


def threshold_name(position: int) -> str:
    """Name of the threshold of the exit at a position counted from 0."""
    return f"exit{position + 1}_threshold"


class NetworkSpace:
    """A declared space of early-exit networks for given images.

    Args:
        declaration: The declared choices.
        in_channels: Channels of the images.
        num_classes: Number of classes.

    Raises:
        SearchSpaceError: If the space has a single point, or a given backbone was not read yet.
    """

    def __init__(self, declaration: NetworkSpaceDeclaration, in_channels: int, num_classes: int) -> None:
        if declaration.backbone is not None and declaration.backbone.found is None:
            raise SearchSpaceError("space.backbone: its points are not known yet; aebnas_bo.Study finds them")
        self.declaration = declaration
        self.skeleton = Skeleton(
            in_channels=in_channels,
            num_classes=num_classes,
            stem_channels=declaration.stem_channels,
            stem_stride=declaration.stem_stride,
            stage_strides=tuple(stage.stride for stage in declaration.stages),
            exit_stages=tuple(exit_.after_stage - 1 for exit_ in declaration.exits),
            branch_stride=declaration.branch_stride,
            head_channels=declaration.head_channels,
            activation=declaration.activation,
            has_learned_confidence=declaration.learned_confidence,
            squeezed_stages=tuple(number - 1 for number in declaration.squeeze_excitation),
            given=None if declaration.backbone is None else declaration.backbone.found,
        )
        self.search_space = self._search_space()

    def _search_space(self) -> SearchSpace:
        """Return the flat space of parameters, thresholds included."""
        parameters: list[Parameter] = []
        parameters += _choice("resolution", self.declaration.resolutions, "resolution")
        for number in range(1, len(self.declaration.stages) + 1):
            self._add_stage(parameters, number)
        for number in range(1, len(self.declaration.exits) + 1):
            self._add_exit(parameters, number)
        return SearchSpace(tuple(parameters))

    def _add_stage(self, parameters: list[Parameter], number: int) -> None:
        choices, group = self.declaration.stages[number - 1], f"stage{number}"
        behind = tuple(
            threshold_name(position)
            for position, exit_ in enumerate(self.declaration.exits)
            if exit_.after_stage < number and exit_.has_free_threshold
        )
        present = _from_depth(f"{group}_depth", choices.depths, 1)
        if present is None:  # the order of parameters names equal trials; it only changes where it must
            parameters += _choice(f"{group}_width", choices.widths, group, behind=behind)
        parameters += _choice(f"{group}_depth", choices.depths, group, behind=behind)
        if present is not None:
            parameters += _choice(f"{group}_width", choices.widths, group, condition=present, behind=behind)
        for block in range(1, max(choices.depths) + 1):
            condition = _from_depth(f"{group}_depth", choices.depths, block)
            prefix = f"{group}_block{block}"
            parameters += _choice(
                f"{prefix}_kind", choices.kinds, group, condition=condition, behind=behind, is_ordered=False
            )
            parameters += _choice(f"{prefix}_kernel", choices.kernels, group, condition=condition, behind=behind)
            expanding = tuple(kind for kind in choices.kinds if LAYER_KINDS[kind].expands)
            if expanding:
                is_always = len(expanding) == len(choices.kinds)
                expands = condition if is_always else Condition(f"{prefix}_kind", expanding)
                parameters += _choice(
                    f"{prefix}_expansion", choices.expansions, group, condition=expands, behind=behind
                )

    def _add_exit(self, parameters: list[Parameter], number: int) -> None:
        choices, group = self.declaration.exits[number - 1], f"exit{number}"
        depth = f"{group}_depth"
        behind = tuple(
            threshold_name(position)
            for position, exit_ in enumerate(self.declaration.exits[: number - 1])
            if exit_.has_free_threshold
        )
        parameters += _choice(depth, choices.depths, group, behind=behind)
        present = _from_depth(depth, choices.depths, 1)
        parameters += _choice(
            f"{group}_pooling", choices.poolings, group, condition=present, behind=behind, is_ordered=False
        )
        for layer, options in enumerate(choices.layers, start=1):
            condition, prefix = _from_depth(depth, choices.depths, layer + 1), f"{group}_layer{layer}"
            parameters += _choice(
                f"{prefix}_kind", options.kinds, group, condition=condition, behind=behind, is_ordered=False
            )
            parameters += _choice(f"{prefix}_kernel", options.kernels, group, condition=condition, behind=behind)
            parameters += _choice(f"{prefix}_expansion", options.expansions, group, condition=condition, behind=behind)
            parameters += _choice(
                f"{prefix}_pool", tuple(int(pool) for pool in options.pools), group, condition=condition, behind=behind
            )
            parameters += _choice(f"{prefix}_upsample", options.upsamples, group, condition=condition, behind=behind)
        condition, name = _from_depth(depth, choices.depths, 1), threshold_name(number - 1)
        if choices.threshold is not None and choices.has_free_threshold:
            parameters.append(ContinuousParameter(name, *choices.threshold, name, condition, behind))
        elif max(choices.depths) > 0:
            parameters += _choice(name, choices.threshold_values, name, condition=condition, behind=behind)

    def architecture(self, point: Point) -> Architecture:
        """Return the network that a point encodes.

        Raises:
            SearchSpaceError: If the point does not belong to the space.
        """
        genes = self.search_space.canonical(point)
        stages = tuple(self.stage(genes, number) for number in range(1, len(self.declaration.stages) + 1))
        exits = tuple(self.exit_branch(genes, number) for number in range(1, len(self.declaration.exits) + 1))
        return Architecture(self.resolution(genes), stages, exits)

    def resolution(self, genes: Point) -> int:
        """Return the resolution that canonical genes stand for."""
        return _gene(genes, "resolution", self.declaration.resolutions)

    def width(self, genes: Point, number: int) -> int:
        """Return the width of a stage, counted from 1, that canonical genes stand for."""
        return _gene(genes, f"stage{number}_width", self.declaration.stages[number - 1].widths)

    def stage(self, genes: Point, number: int) -> Stage:
        """Return the stage, counted from 1, that canonical genes stand for."""
        choices, prefix = self.declaration.stages[number - 1], f"stage{number}"
        depth = _gene(genes, f"{prefix}_depth", choices.depths)
        blocks = tuple(self._block(genes, choices, f"{prefix}_block{block}") for block in range(1, depth + 1))
        return Stage(width=self.width(genes, number) if blocks else 0, blocks=blocks)

    def _block(self, genes: Point, choices: StageChoices, prefix: str) -> Block:
        kind = cast(LayerKind, genes.get(f"{prefix}_kind", choices.kinds[0]))
        return Block(
            kernel=_gene(genes, f"{prefix}_kernel", choices.kernels),
            expansion=_gene(genes, f"{prefix}_expansion", choices.expansions) if LAYER_KINDS[kind].expands else 1,
            kind=kind,
        )

    def exit_branch(self, genes: Point, number: int) -> ExitBranch | None:
        """Return the branch of an exit, counted from 1, that canonical genes stand for; `None` if it is not there."""
        choices = self.declaration.exits[number - 1]
        depth = _gene(genes, f"exit{number}_depth", choices.depths)
        if depth == 0:
            return None
        layers = []
        for layer, options in enumerate(choices.layers[: depth - 1], start=1):
            prefix = f"exit{number}_layer{layer}"
            layers.append(
                BranchLayer(
                    kind=cast(LayerKind, genes.get(f"{prefix}_kind", options.kinds[0])),
                    kernel=_gene(genes, f"{prefix}_kernel", options.kernels),
                    expansion=_gene(genes, f"{prefix}_expansion", options.expansions),
                    pool=bool(_gene(genes, f"{prefix}_pool", options.pools)),
                    upsample=_gene(genes, f"{prefix}_upsample", options.upsamples),
                )
            )
        first = next(iter(choices.poolings), None)
        return ExitBranch(tuple(layers), cast("TokenPooling | None", genes.get(f"exit{number}_pooling", first)))

    def thresholds(self, point: Point) -> tuple[float, ...]:
        """Return the threshold of each exit the point switches on, in order of the exits.

        Raises:
            SearchSpaceError: If the space leaves thresholds to be tuned.
        """
        if self.tunes_thresholds:
            raise SearchSpaceError("thresholds are not part of this space: they are tuned per network")
        genes = self.search_space.canonical(point)
        return tuple(
            float(genes.get(threshold_name(position), (exit_.threshold_values or (1.0,))[0]))
            for position, exit_ in enumerate(self.declaration.exits)
            if _gene(genes, f"exit{position + 1}_depth", exit_.depths)
        )

    @cached_property
    def output_names(self) -> tuple[str, ...]:
        """Names of all outputs: `exit1`, `exit2` ... and `final`."""
        return (*(f"exit{number}" for number in range(1, len(self.declaration.exits) + 1)), "final")

    @cached_property
    def tunes_thresholds(self) -> bool:
        """Whether thresholds are tuned per network instead of searched."""
        return any(exit_.threshold is None for exit_ in self.declaration.exits)

    @cached_property
    def has_free_thresholds(self) -> bool:
        """Whether the thresholds of all exits are continuous parameters."""
        return all(exit_.has_free_threshold for exit_ in self.declaration.exits if max(exit_.depths) > 0)

    @cached_property
    def largest_without_exits(self) -> Architecture:
        """The most expensive plain network: last choices throughout, every block of the most expensive kind."""
        return self._without_exits(-1)

    @cached_property
    def middle_macs(self) -> float:
        """Geometric mean of the MACs of the smallest and of the largest backbone without exits."""
        return math.prod(self.backbone_macs) ** 0.5

    @cached_property
    def backbone_macs(self) -> tuple[int, int]:
        """MACs of the smallest and of the largest backbone without exits."""
        smallest, largest = self._without_exits(0), self.largest_without_exits
        return exit_costs(smallest, self.skeleton).cumulative[-1], exit_costs(largest, self.skeleton).cumulative[-1]

    def _without_exits(self, position: int) -> Architecture:
        """Return the cheapest backbone of the first choices (0) or the most expensive of the last (-1), no exit."""
        point = {
            p.name: p.upper if isinstance(p, ContinuousParameter) else p.values[position]
            for p in self.search_space.parameters
        }
        one, no_exits = self.architecture(point), (None,) * len(self.declaration.exits)

        def stage(number: int, kind: LayerKind) -> Stage:
            chosen, choices = one.stages[number], self.declaration.stages[number]
            block = [block for block in choices.blocks if block.kind == kind][position]
            return Stage(chosen.width, (block,) * len(chosen.blocks))

        kinds = [choices.kinds for choices in self.declaration.stages]
        backbones = (
            Architecture(one.resolution, tuple(stage(n, kind) for n, kind in enumerate(combination)), no_exits)
            for combination in product(*kinds)
        )
        return (min if position == 0 else max)(backbones, key=lambda a: exit_costs(a, self.skeleton).cumulative[-1])


def is_branch_gene(name: str) -> bool:
    """Return whether a parameter describes the layers of an exit branch."""
    return name.startswith("exit") and not name.endswith("_threshold")


def is_exit_depth(name: str) -> bool:
    """Return whether a parameter is the depth of an exit branch; depth 0 is no exit."""
    return is_branch_gene(name) and name.endswith("_depth")


def _choice(
    name: str,
    values: Sequence[ParameterValue],
    group: str,
    *,
    condition: Condition | None = None,
    behind: tuple[str, ...] = (),
    is_ordered: bool = True,
) -> tuple[ChoiceParameter, ...]:
    """Return a parameter; empty if there is only one choice."""
    return (ChoiceParameter(name, tuple(values), is_ordered, group, condition, behind),) if len(values) > 1 else ()


def _from_depth(depth_name: str, depths: tuple[int, ...], needed: int) -> Condition | None:
    """Return the condition that a depth reaches `needed`, or `None` where it always does."""
    values = tuple(depth for depth in depths if depth >= needed)
    return None if len(values) == len(depths) else Condition(depth_name, values)


def _gene(genes: Point, name: str, choices: Sequence[int]) -> int:
    """Return the value of a gene, or its only choice."""
    return int(genes.get(name, choices[0]))
