"""One phase of a run: how much of it is done, and how long it takes."""

from __future__ import annotations

import math
import time

from aebnas_bo.preparation.forecast import duration_text


class Phase:
    """Counts the steps of a phase and estimates the time that is left; part of a step counts too.

    Args:
        name: What is counted, such as `supernet epochs`.
        total: Steps there are to be.
        done: Steps that were done before.
    """

    def __init__(self, name: str, total: int, done: int = 0) -> None:
        self.name, self.total = name, total
        self.done: float = done
        self.figures = ""
        self.started = self._updated = time.monotonic()
        self._before = done
        self._first: int | None = None  # steps done before the first one that was timed

    @property
    def share(self) -> float:
        """Share of the phase that is done."""
        return self.done / max(self.total, 1)

    @property
    def is_over(self) -> bool:
        """Whether all steps are done."""
        return self.done >= self.total

    def update(self, done: float, now: float) -> None:
        """Note how many steps are done at a time of the monotonic clock."""
        if self._first is None:
            self._first = max(math.ceil(done) - 1, self._before)  # a phase that resumes starts anywhere
        self.done, self._updated = done, now

    def time_text(self, now: float) -> str:
        """Return the estimated time left or, before there is one and after the last step, the time elapsed."""
        steps = self.done - self._first if self._first is not None else 0.0
        if steps <= 0 or self.is_over:
            return f"{duration_text((self._updated if self.is_over else now) - self.started)} elapsed"
        left = (self._updated - self.started) / steps * (self.total - self.done) - (now - self._updated)
        return f"{duration_text(max(left, 0.0))} left"
