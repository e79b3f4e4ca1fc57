"""Interface for search strategies."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from aebnas_bo.search.trial import Trial
from aebnas_bo.space.search_space import ParameterValue

FALLBACKS = ("second attempt", "surrogates not fitted", "drawn at random")  # used in this order if a proposal fails


@dataclass(frozen=True)
class Proposal:
    """Point to evaluate next.

    Args:
        parameters: The canonical point.
        fallback: Name of the fallback used because the strategy's first choice failed, such as "drawn at random"; empty
            if none was needed.
        reason: Why the first choice failed; empty if it did not.
    """

    parameters: dict[str, ParameterValue]
    fallback: str = ""
    reason: str = ""


class Strategy(Protocol):
    """Interface for search strategies.

    Proposals are a pure function of the strategy's settings and its arguments. With several workers, trials of the
    initial design are proposed before the results of earlier ones are there.
    """

    def propose(self, trials: Sequence[Trial], count: int) -> list[Proposal]:
        """Propose the points of the next trials, to be evaluated together.

        Args:
            trials: All earlier trials in order, each completed or failed. If trials are proposed while others run
                (`search.proposals: asynchronous`), some are `RUNNING`: their points are pending.
            count: Number of points, at least 1.

        Returns:
            `count` proposals for the trials numbered from `len(trials)` on.
        """


def batch_start(number: int, design_trials: int, batch_size: int) -> int:
    """Return the number of the first trial in a trial's batch.

    Trials of the initial design are proposed one by one, later trials in batches counted from the end of the design.
    So neither an interruption nor the budget changes a batch.

    Args:
        number: Number of the trial.
        design_trials: Trials of the initial design.
        batch_size: Trials per batch.
    """
    return number - (number - design_trials) % batch_size if number >= design_trials else number
