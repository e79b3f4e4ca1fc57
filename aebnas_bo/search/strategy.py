"""What the loop asks of whatever proposes points."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from aebnas_bo.search.trial import Trial
from aebnas_bo.space.search_space import ParameterValue


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

    def propose(self, trials: Sequence[Trial], number: int) -> Proposal:
        """Propose the point of one trial.

        Args:
            trials: All earlier trials, numbers 0 to `number - 1`, whatever their status.
            number: Number of the trial to propose.
        """
