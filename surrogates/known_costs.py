"""What is known of a cost without any observation: the range it must lie in.

An input leaves a network at one of its exits, each of known cost, so its average cost lies between that of the first
exit and that of the last one. `outcomes` models the share of that range, `features` compares networks by its ends.
"""

from __future__ import annotations

from typing import Protocol

from torch import Tensor


class KnownCosts(Protocol):
    """The range of one outcome at every input."""

    outcome: str
    """Name of the outcome."""

    def __call__(self, X: Tensor) -> Tensor:
        """Return the least and the greatest cost, `n x 2`, of canonical rows, `n x d`; both positive."""
