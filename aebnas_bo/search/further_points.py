"""Choice of the further operating points that surrogates learn from: a bounded number, and some of every network.

The time of a Gaussian process is cubic in its observations. A cap that the first networks use up would leave nothing to
the later ones, which are better.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from aebnas_bo.search.objectives import Objective, to_maximize
from aebnas_bo.search.trial import Observation

MOST_FURTHER = 1000  # further operating points, however many trials there are
TRIALS_OF_HALF = 150  # trials whose points may take half of them, some three per network


def num_allowed(num_trials: int) -> int:
    """Return how many further operating points of the first trials may be used.

    Args:
        num_trials: Number of trials.
    """
    return MOST_FURTHER * num_trials // (num_trials + TRIALS_OF_HALF)


def nearest_to_front(
    further: Sequence[Observation], known: NDArray[np.float64], objectives: Sequence[Objective], *, count: int
) -> list[Observation]:
    """Return the operating points that fewest known points dominate, in their order.

    Args:
        further: Points to choose from.
        known: Metrics of all operating points so far, `n x m`; larger is better.
        objectives: The `m` metrics and their directions.
        count: Most points to return.
    """
    if len(further) <= count:
        return list(further)
    points = to_maximize([one.metrics for one in further], objectives)[:, None]
    num_dominating = ((known >= points).all(axis=-1) & (known > points).any(axis=-1)).sum(axis=-1)
    return [further[position] for position in sorted(np.argsort(num_dominating, kind="stable")[:count])]
