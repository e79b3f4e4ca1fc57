"""Sampling of networks for supernet training."""

from __future__ import annotations

from typing import Literal

import numpy as np

from aebnas_bo.space.architecture import Architecture
from aebnas_bo.space.backbone_pool import BackbonePool, Genes
from aebnas_bo.space.network_space import NetworkSpace, is_branch_gene, is_exit_depth
from aebnas_bo.space.search_space import ChoiceParameter, ContinuousParameter, ParameterValue

Extreme = Literal["largest", "smallest", "random"]


class TrainingSampler:
    """Draws networks for training, every exit present that may be.

    With balanced branches, all that makes up a branch (its depth, and kind, kernel, expansion ... of its layers) is
    dealt from shuffled decks, whatever the size of the backbone: among the branches in which a choice matters, each of
    its values occurs equally often, up to one. Otherwise the largest network has the largest branches, the smallest the
    smallest, and the others' are independent draws.

    Args:
        space: The space.
        generator: Source of randomness.
        has_balanced_branches: Whether branches come from decks.
        pool: Backbones to draw from, every stratum of MACs equally often; `None` draws every choice uniformly.
    """

    def __init__(
        self,
        space: NetworkSpace,
        generator: np.random.Generator,
        *,
        has_balanced_branches: bool,
        pool: BackbonePool | None = None,
    ) -> None:
        self._space = space
        self._generator = generator
        self._has_balanced_branches = has_balanced_branches
        self._pool = pool
        self._decks: dict[str, list[int]] = {}

    def draw(self, which: Extreme) -> Architecture:
        """Return the largest, the smallest or a random network.

        Args:
            which: Network to return. The smallest has the shallowest existing branches, unless branches are balanced.
        """
        point: dict[str, ParameterValue] = {}
        backbone = self._backbone(which)
        for parameter in self._space.search_space.parameters:
            if parameter.name in backbone:
                point[parameter.name] = backbone[parameter.name]
                continue
            if isinstance(parameter, ContinuousParameter):
                point[parameter.name] = parameter.upper
                continue
            condition = parameter.active_when
            if condition is not None and point[condition.parameter] not in condition.values:
                point[parameter.name] = parameter.inactive_value
                continue
            values = [v for v in parameter.values if not (is_exit_depth(parameter.name) and v == 0)]
            point[parameter.name] = values[self._position(parameter, len(values), which)]
        return self._space.architecture(point)

    def _backbone(self, which: Extreme) -> Genes:
        """Return the genes of a backbone of the pool; none without a pool."""
        if self._pool is None:
            return {}
        if which != "random":
            return self._pool.largest if which == "largest" else self._pool.smallest
        stratum = self._pool.strata[self._dealt("stratum", len(self._pool.strata))]
        return stratum[int(self._generator.integers(len(stratum)))]

    def _dealt(self, name: str, count: int) -> int:
        """Return the next card of a shuffled deck of `count` cards."""
        deck = self._decks.get(name)
        if not deck:
            deck = self._decks[name] = self._generator.permutation(count).tolist()
        return deck.pop()

    def _position(self, parameter: ChoiceParameter, count: int, which: Extreme) -> int:
        if self._has_balanced_branches and is_branch_gene(parameter.name):
            return self._dealt(parameter.name, count)
        if which == "random" or not parameter.is_ordered:
            return int(self._generator.integers(count))
        return count - 1 if which == "largest" else 0
