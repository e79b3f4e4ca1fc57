"""Check of a supernet: its estimates of plain networks should increase with their size.

The accuracy of separately trained plain networks increases with their width, up to sizes beyond those of a search. If
the estimates of plain networks do not, the supernet is unlikely to rank other networks correctly.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from scipy import stats

from aebnas_bo.search.trial import Trial, observations
from aebnas_bo.space.macs import exit_costs
from aebnas_bo.space.network_space import NetworkSpace
from aebnas_bo.space.plain_points import plain_points

LEAST_NETWORKS = 5
CEILING = 95.0  # percent; if the least accurate network reaches it, size hardly matters and their order is chance
TOO_LITTLE = 0.5  # Kendall tau


def plain_tau(trials: Sequence[Trial], space: NetworkSpace) -> float | None:
    """Return Kendall's tau between MACs and best estimated accuracy of a search's plain networks.

    Args:
        trials: All trials.
        space: Their space.

    Returns:
        The tau over the plain networks of the highest resolution, or `None` if fewer than five were observed, or all
        estimates are at least `CEILING`.
    """
    best: dict[str, float] = {}
    for one in observations(trials):
        best[one.key] = max(best.get(one.key, 0.0), one.metrics["accuracy"])
    networks = [space.architecture(point) for point in plain_points(space)]
    seen = [one for one in networks if one.key in best and one.resolution == networks[0].resolution]
    if len(seen) < LEAST_NETWORKS or min(best[one.key] for one in seen) >= CEILING:
        return None
    macs = [exit_costs(one, space.skeleton).cumulative[-1] for one in seen]
    tau = float(stats.kendalltau(macs, [best[one.key] for one in seen]).statistic)
    return 0.0 if math.isnan(tau) else tau  # undefined if all estimates are equal


def ranks_networks(tau: float | None) -> bool:
    """Return whether estimates may be used to choose between networks.

    Args:
        tau: Result of `plain_tau`; `None` gives no reason against it.
    """
    return tau is None or tau >= TOO_LITTLE


def supernet_warning(tau: float | None) -> str:
    """Return a warning about a supernet whose estimates do not rank networks; empty if they do.

    Args:
        tau: Result of `plain_tau`.
    """
    if ranks_networks(tau):
        return ""
    return (
        f"warning: the estimates of plain networks do not increase with their size (Kendall tau {tau:.2f}), so the "
        "supernet may not rank other networks either; train it longer (supernet.epochs, or --time-budget), or select "
        "by short trainings (aebnas-bo train --shortlist 8)"
    )
