"""Durations as people write them: `90s`, `30m`, `1.5h`."""

from __future__ import annotations

import re

from aebnas_bo.errors import UsageError

MINUTES = {"s": 1 / 60, "m": 1.0, "h": 60.0}


def parse_minutes(text: str) -> float:
    """Return a duration in minutes.

    Args:
        text: A positive number with the unit s, m or h.

    Raises:
        UsageError: If it is anything else.
    """
    found = re.fullmatch(r"\s*(\d+\.?\d*|\.\d+)\s*([smh])\s*", text.lower())
    if found is None or float(found[1]) == 0.0:
        raise UsageError(f"--time-budget {text}: expected a positive number with a unit, such as 90s, 30m or 2h")
    return float(found[1]) * MINUTES[found[2]]


def duration_text(seconds: float) -> str:
    """Return seconds as a person would say them: `0.4 s`, `45 s`, `12 min`, `2.5 h`."""
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
