"""What the loop asks of whatever proposes points."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from aebnas_bo.search.trial import Trial
from aebnas_bo.space.search_space import ParameterValue

FALLBACKS = ("second attempt", "surrogates not fitted", "drawn at random")  # what takes a failed proposal's place


@dataclass(frozen=True)
class Proposal:
    """A point to evaluate next.

    Args:
        parameters: The canonical point.
        fallback: What took the place of the strategy's first choice because that failed, such as "drawn at random";
            empty otherwise.
        reason: Why it failed; empty otherwise.
    """

    parameters: dict[str, ParameterValue]
    fallback: str = ""
    reason: str = ""


class Strategy(Protocol):
    """Proposes points. A proposal is a pure function of the strategy's settings and of what it is told."""

    def propose(self, trials: Sequence[Trial], count: int) -> list[Proposal]:
        """Propose the points of the next trials, to be evaluated together.

        Args:
            trials: All earlier trials, in order and each ended, completed or failed.
            count: How many points, at least 1.

        Returns:
            `count` proposals, of the trials numbered from `len(trials)` on.
        """


def batch_start(number: int, design_trials: int, batch_size: int) -> int:
    """Return the number of the first trial of the batch that a trial is proposed in.

    Trials of the design are proposed one by one, later ones in batches counted from its end; so where a study is
    interrupted, or its budget ends, changes no batch.

    Args:
        number: Number of the trial.
        design_trials: Trials of the design.
        batch_size: Trials per batch.
    """
    return number - (number - design_trials) % batch_size if number >= design_trials else number
