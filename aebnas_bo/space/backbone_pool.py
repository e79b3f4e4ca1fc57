"""Backbones drawn once for supernet training, sorted by their MACs.

Uniform draws of every parameter crowd in the middle of the range of MACs, and a few of the largest cost most of the
training time. Here each draw leans towards small or towards large choices by its own chance, and draws are sorted into
strata of equal width in log MACs, so that a step can train all sizes alike.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from aebnas_bo.errors import ConfigError
from aebnas_bo.seeding import numpy_generator
from aebnas_bo.space.architecture import Architecture
from aebnas_bo.space.macs import MACS_PER_MILLION, exit_costs, millions
from aebnas_bo.space.network_space import NetworkSpace, is_branch_gene
from aebnas_bo.space.search_space import ChoiceParameter, ParameterValue

DRAWS = 4096
STRATA = 8

Genes = dict[str, ParameterValue]


@dataclass(frozen=True)
class BackbonePool:
    """Backbones by MACs.

    Args:
        strata: Canonical genes of backbones, cheapest stratum first; within a stratum in the order they were drawn.
            No stratum is empty.
        smallest: Genes of the cheapest backbone.
        largest: Genes of the most expensive one.
    """

    strata: tuple[tuple[Genes, ...], ...]
    smallest: Genes
    largest: Genes


def backbone_pool(space: NetworkSpace, seed: int, max_macs: float | None) -> BackbonePool:
    """Draw the backbones that a supernet is trained on.

    Args:
        space: The space.
        seed: Seed of the draws.
        max_macs: Largest MACs in millions, up to the final classifier and without exits; `None` for no limit.

    Raises:
        ConfigError: If no network of the space costs so little.
    """
    generator = numpy_generator(seed, "supernet", "backbones")
    drawn = [(_macs(space, genes), genes) for genes in (_leaning_draw(space, generator) for _ in range(DRAWS))]
    most = math.inf if max_macs is None else max_macs * MACS_PER_MILLION
    kept = [(macs, genes) for macs, genes in drawn if macs <= most]
    if not kept:
        cheapest = millions(min(macs for macs, _ in drawn))
        raise ConfigError(
            f"supernet.max_macs: no network of the space costs {max_macs:g} M MACs or less; the cheapest of {DRAWS} "
            f"has {cheapest:.3g} M; raise it (or search.max_average_macs), or give the space smaller widths or "
            "resolutions"
        )
    by_macs = sorted(kept, key=lambda one: one[0])
    low, high = math.log(by_macs[0][0]), math.log(by_macs[-1][0])
    strata: list[list[Genes]] = [[] for _ in range(STRATA)]
    for macs, genes in kept:
        share = (math.log(macs) - low) / (high - low) if high > low else 0.0
        strata[min(int(share * STRATA), STRATA - 1)].append(genes)
    return BackbonePool(tuple(tuple(one) for one in strata if one), by_macs[0][1], by_macs[-1][1])


def backbone(space: NetworkSpace, genes: Genes) -> Architecture:
    """Return the network of backbone genes, without exits."""
    stages = tuple(space.stage(genes, number) for number in range(1, len(space.declaration.stages) + 1))
    return Architecture(space.resolution(genes), stages, (None,) * len(space.declaration.exits))


def _leaning_draw(space: NetworkSpace, generator: np.random.Generator) -> Genes:
    """Draw a backbone whose ordered choices follow a binomial distribution with a random probability."""
    lean = generator.random()
    genes: Genes = {}
    for parameter in space.search_space.parameters:
        if not isinstance(parameter, ChoiceParameter):
            genes[parameter.name] = parameter.upper
            continue
        count = len(parameter.values)
        position = generator.binomial(count - 1, lean) if parameter.is_ordered else generator.integers(count)
        genes[parameter.name] = parameter.values[int(position)]
    canonical = space.search_space.canonical(genes)
    return {name: value for name, value in canonical.items() if not is_branch_gene(name)}


def _macs(space: NetworkSpace, genes: Genes) -> int:
    return exit_costs(backbone(space, genes), space.skeleton).cumulative[-1]
