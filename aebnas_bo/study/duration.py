"""Parser of durations such as `90s`, `30m`, `1.5h`."""

from __future__ import annotations

import re

from aebnas_bo.errors import UsageError

MINUTES = {"s": 1 / 60, "m": 1.0, "h": 60.0}


def parse_minutes(text: str) -> float:
    """Parse a duration and return it in minutes.

    Args:
        text: A positive number with the unit s, m or h.

    Raises:
        UsageError: If the text is not a duration.
    """
    found = re.fullmatch(r"\s*(\d+\.?\d*|\.\d+)\s*([smh])\s*", text.lower())
    if found is None or float(found[1]) == 0.0:
        raise UsageError(f"--time-budget {text}: expected a positive number with a unit, such as 90s, 30m or 2h")
    return float(found[1]) * MINUTES[found[2]]
