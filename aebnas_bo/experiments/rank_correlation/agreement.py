"""Comparison of a network with shared weights and the same network trained separately."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

import numpy as np

from aebnas_bo.early_exit.exit_rule import ExitTable, evaluate_thresholds
from aebnas_bo.experiments.rank_correlation.settings import FidelityConfig
from aebnas_bo.experiments.rank_correlation.statistics import Agreement, agreement
from aebnas_bo.space.macs import millions
from aebnas_bo.space.network_space import NetworkSpace
from aebnas_bo.space.search_space import Point


@dataclass(frozen=True)
class Comparison:
    """Figures of a network with shared weights and after separate training.

    Args:
        point: Its parameters and thresholds.
        key: The architecture's key.
        macs: MACs of leaving at each output, in millions: `exit1` ... and `final`.
        estimates: Quantities with shared weights: `accuracy` (percent) and `average_macs` (millions) at the point's
            thresholds, and the accuracy of each output, `exit1` ... and `final`.
        trainings: The same quantities after each separate training.
    """

    point: Point
    key: str
    macs: dict[str, float]
    estimates: dict[str, float]
    trainings: tuple[dict[str, float], ...]

    @property
    def alone(self) -> dict[str, float]:
        """The mean of each quantity over the separate trainings."""
        return {name: fmean(one[name] for one in self.trainings) for name in self.estimates}

    def macs_of(self, quantity: str) -> float:
        """Return the MACs in millions that belong to an accuracy and are known before training.

        Args:
            quantity: `accuracy`, which costs the estimated average MACs, or an output.
        """
        return self.estimates["average_macs"] if quantity == "accuracy" else self.macs[quantity]


def compare_network(
    space: NetworkSpace, point: Point, *, estimate: ExitTable, alone: Sequence[ExitTable]
) -> Comparison:
    """Compare exit tables of one network, over the same images.

    Args:
        space: The network's space.
        point: The network with its thresholds.
        estimate: Its exit table with shared weights.
        alone: Its exit table after each separate training.
    """
    architecture, thresholds = space.architecture(point), space.thresholds(point)
    names = [*(f"exit{position + 1}" for position in architecture.active_exits), "final"]

    def quantities(table: ExitTable) -> dict[str, float]:
        outcome = evaluate_thresholds(table, thresholds)
        shares = (100.0 * table.is_correct.double().mean(dim=1)).tolist()
        whole = {"accuracy": outcome.accuracy, "average_macs": millions(outcome.average_macs)}
        return whole | dict(zip(names, shares, strict=True))

    macs = {name: millions(cost) for name, cost in zip(names, estimate.macs, strict=True)}
    return Comparison(point, architecture.key, macs, quantities(estimate), tuple(map(quantities, alone)))


def quantities_of(space: NetworkSpace) -> tuple[str, ...]:
    """Return the quantities of a space's networks, in the order of tables."""
    exits = (f"exit{number}" for number in range(1, len(space.skeleton.exit_stages) + 1))
    return ("accuracy", "average_macs", "final", *exits)


def agreements(
    comparisons: Sequence[Comparison],
    quantities: Sequence[str],
    *,
    config: FidelityConfig,
    generator: np.random.Generator,
) -> list[Agreement]:
    """Return the agreement of estimates with separately trained networks for each quantity.

    Args:
        comparisons: The networks.
        quantities: Quantities to compare; those of too few networks are left out.
        config: Sizes of the short lists and number of resamples.
        generator: Source of the resamples.
    """
    found = []
    for quantity in quantities:
        having = [c for c in comparisons if quantity in c.estimates]
        result = agreement(
            quantity,
            [c.estimates[quantity] for c in having],
            macs=[c.macs_of(quantity) for c in having] if quantity != "average_macs" else None,
            trainings=list(zip(*([one[quantity] for one in c.trainings] for c in having), strict=True)),
            config=config,
            generator=generator,
        )
        found += [result] if result is not None else []
    return found
