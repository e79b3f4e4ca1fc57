"""Costs that a search may minimise beside accuracy and average MACs: latency, or one of a user's own."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from aebnas_bo.errors import ConfigError, EstimationError
from aebnas_bo.estimation.latency import NANOSECONDS_PER_MS, LatencyPrices
from aebnas_bo.space.architecture import Architecture, Skeleton
from aebnas_bo.space.macs import priced

LATENCY = "latency_ms"
TAKEN = ("accuracy", "average_macs", LATENCY)


class CostObjective(Protocol):
    """A cost of an image, which depends on where the image leaves; its mean over images is minimised.

    Attributes of a class will do for the properties. It may also have `limit`, the highest admissible mean.
    """

    @property
    def name(self) -> str:
        """Name of the metric; a Python identifier."""

    @property
    def unit(self) -> str:
        """Unit for tables and axes."""

    @property
    def reference(self) -> float:
        """Mean cost above which a network counts for nothing in the hypervolume."""

    def costs(self, architecture: Architecture, skeleton: Skeleton) -> Sequence[float]:
        """Return what an image costs that leaves at each active exit, in order, and at the final classifier.

        A cost of the whole network, such as its size, is the same number for all of them.

        Args:
            architecture: The network.
            skeleton: The fixed part of its space.
        """


@dataclass(frozen=True)
class LatencyCost:
    """Milliseconds per image, added up from measured parts.

    Args:
        prices: Nanoseconds of each part.
        reference: As for `CostObjective`; not used by estimates.
    """

    prices: LatencyPrices
    reference: float = math.inf
    name: str = LATENCY
    unit: str = "ms"

    def costs(self, architecture: Architecture, skeleton: Skeleton) -> Sequence[float]:
        """Return milliseconds, as `CostObjective.costs` says."""
        return [price / NANOSECONDS_PER_MS for price in priced(architecture, skeleton, self.prices).cumulative]


def check_cost(cost: CostObjective) -> None:
    """See that the name and the reference of a user's objective can be used.

    Raises:
        ConfigError: If they cannot.
    """
    if not cost.name.isidentifier() or cost.name in TAKEN:
        raise ConfigError(
            f"objective: its name must be a Python identifier other than {', '.join(TAKEN)}, got {cost.name!r}"
        )
    if not math.isfinite(cost.reference):
        raise ConfigError(f"objective {cost.name}: reference must be a finite number, got {cost.reference}")


def costs_of(cost: CostObjective, architecture: Architecture, skeleton: Skeleton) -> list[float]:
    """Return the costs of a network's outputs, checked.

    Raises:
        EstimationError: If there is not one finite cost of at least 0 for every output.
    """
    found = [float(one) for one in cost.costs(architecture, skeleton)]
    outputs = len(architecture.active_exits) + 1
    if len(found) != outputs or not all(math.isfinite(one) and one >= 0.0 for one in found):
        raise EstimationError(
            f"objective {cost.name}: costs() must return {outputs} finite numbers of at least 0 for network "
            f"{architecture.key}, one for each active exit and the final classifier, got {found}"
        )
    return found
