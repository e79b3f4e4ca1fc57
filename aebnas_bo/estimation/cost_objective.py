"""Additional costs to minimise: latency, or a user's own cost."""

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
    """Interface for a cost per image that depends on the exit; the search minimises its mean over images.

    Class attributes may take the place of the properties. The optional attribute `limit` is the highest admissible
    mean. A cost with a limit whose `reference` is `None` is not minimised, only limited.
    """

    @property
    def name(self) -> str:
        """Name of the metric; a Python identifier."""

    @property
    def unit(self) -> str:
        """Unit for tables and axes."""

    @property
    def reference(self) -> float | None:
        """Coordinate of the hypervolume reference point; networks with a higher mean cost add nothing."""

    def costs(self, architecture: Architecture, skeleton: Skeleton) -> Sequence[float]:
        """Return the cost of an image for leaving at each active exit, in order, and at the final classifier.

        A cost of the whole network, such as its size, is the same number for all outputs.

        Args:
            architecture: The network.
            skeleton: The fixed part of its space.
        """


@dataclass(frozen=True)
class LatencyCost:
    """Latency in milliseconds per image, summed over measured parts.

    Args:
        prices: Latency of each part in nanoseconds.
        reference: See `CostObjective.reference`; estimates do not use it.
    """

    prices: LatencyPrices
    reference: float = math.inf
    name: str = LATENCY
    unit: str = "ms"

    def costs(self, architecture: Architecture, skeleton: Skeleton) -> Sequence[float]:
        """Return the latency of each output in milliseconds; see `CostObjective.costs`."""
        return [price / NANOSECONDS_PER_MS for price in priced(architecture, skeleton, self.prices).cumulative]


def check_cost(cost: CostObjective) -> None:
    """Check the name, the reference value and the limit of a user's objective.

    Raises:
        ConfigError: If one of them is invalid.
    """
    if not cost.name.isidentifier() or cost.name in TAKEN:
        raise ConfigError(
            f"objective: its name must be a Python identifier other than {', '.join(TAKEN)}, got {cost.name!r}"
        )
    limit = limit_of(cost)
    if limit is not None and not math.isfinite(limit):
        raise ConfigError(f"objective {cost.name}: limit must be a finite number, got {limit}")
    if cost.reference is None and limit is None:
        raise ConfigError(
            f"objective {cost.name}: has neither a reference nor a limit; set reference to minimise it, or limit to "
            "limit it only"
        )
    if cost.reference is not None and not math.isfinite(cost.reference):
        raise ConfigError(f"objective {cost.name}: reference must be a finite number, got {cost.reference}")


def limit_of(cost: CostObjective) -> float | None:
    """Return the highest admissible mean of a cost; `None` if it has no limit."""
    limit: float | None = getattr(cost, "limit", None)
    return limit


def costs_of(cost: CostObjective, architecture: Architecture, skeleton: Skeleton) -> list[float]:
    """Compute and check the costs of a network's outputs.

    Raises:
        EstimationError: If an output has no finite, non-negative cost.
    """
    found = [float(one) for one in cost.costs(architecture, skeleton)]
    outputs = len(architecture.active_exits) + 1
    if len(found) != outputs or not all(math.isfinite(one) and one >= 0.0 for one in found):
        raise EstimationError(
            f"objective {cost.name}: costs() must return {outputs} finite numbers of at least 0 for network "
            f"{architecture.key}, one for each active exit and the final classifier, got {found}"
        )
    return found
