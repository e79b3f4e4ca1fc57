"""Phase of a run: its progress and time estimate."""

from __future__ import annotations

import math
import time

from aebnas_bo.preparation.forecast import duration_text


class Phase:
    """Counter of the steps of a phase, which estimates the remaining time; fractions of a step count too.

    Args:
        name: Name of the steps, such as `supernet epochs`.
        total: Total number of steps.
        done: Number of steps done earlier.
    """

    def __init__(self, name: str, total: int, done: int = 0) -> None:
        self.name, self.total = name, total
        self.done: float = done
        self.figures = ""
        self.started = self._updated = time.monotonic()
        self._before = done
        self._first: int | None = None  # number of steps done before timing began

    @property
    def share(self) -> float:
        """Fraction of the phase that is done."""
        return self.done / max(self.total, 1)

    @property
    def is_over(self) -> bool:
        """Whether all steps are done."""
        return self.done >= self.total

    def update(self, done: float, now: float) -> None:
        """Set the number of steps done at a time of the monotonic clock."""
        if self._first is None:
            self._first = max(math.ceil(done) - 1, self._before)  # a resumed phase may start at any step
        self.done, self._updated = done, now

    def time_text(self, now: float) -> str:
        """Return the estimated time left, or the time elapsed if there is no estimate or all steps are done."""
        steps = self.done - self._first if self._first is not None else 0.0
        if steps <= 0 or self.is_over:
            return f"{duration_text((self._updated if self.is_over else now) - self.started)} elapsed"
        left = (self._updated - self.started) / steps * (self.total - self.done) - (now - self._updated)
        return f"{duration_text(max(left, 0.0))} left"
