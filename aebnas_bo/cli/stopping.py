"""Conversion of SIGINT and SIGTERM to an exception that ends a run cleanly."""

from __future__ import annotations

import math
import signal
import sys
import time
from types import FrameType
from typing import TYPE_CHECKING

from aebnas_bo.errors import StopRequested

if TYPE_CHECKING:
    from sys import UnraisableHookArgs

SIGNALS = (signal.SIGINT, signal.SIGTERM)
SAME_S = 1.0  # signals within this time count as one: often both a process group and its leader are signalled


class StopSignals:
    """Raises `StopRequested` on a signal, and again at the next check if a library swallowed it.

    Python drops exceptions raised within a finaliser or a C callback, so the run would continue. Signals
    sent at the same time raise once, so that they do not interrupt the clean end of the run.
    """

    def __init__(self) -> None:
        self._number: int | None = None
        self._struck = -math.inf

    def install(self) -> None:
        """Install the signal handlers."""
        for number in SIGNALS:
            signal.signal(number, self._stop)
        sys.unraisablehook = _without_stops

    def check(self) -> None:
        """Raise if a signal was received.

        Raises:
            StopRequested: With the number of the signal.
        """
        if self._number is not None:
            raise StopRequested(self._number)

    def _stop(self, number: int, _: FrameType | None) -> None:
        now = time.monotonic()
        is_same = now - self._struck < SAME_S
        self._number, self._struck = number, now
        if not is_same:
            self.check()


def _without_stops(dropped: UnraisableHookArgs) -> None:
    """Show what Python drops, except requests to stop: they are raised again at the next check."""
    if not isinstance(dropped.exc_value, StopRequested):
        sys.__unraisablehook__(dropped)
