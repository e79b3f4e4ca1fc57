"""Option `--band` of `aebnas-bo fidelity`; needs no PyTorch, so that mistakes are reported fast."""

from __future__ import annotations

import math

from aebnas_bo.errors import UsageError

Band = tuple[float, float]
"""Lowest and highest average MACs in millions."""


def parse_band(text: str) -> Band:
    """Parse a band from a text such as `1.8,2.6`.

    Raises:
        UsageError: If the text is invalid.
    """
    try:
        low, high = (float(part) for part in text.split(","))
    except ValueError:
        low = high = math.nan
    if not (0.0 < low < high < math.inf):
        raise UsageError(
            f"--band {text}: expected LOW,HIGH in millions of average MACs with 0 < LOW < HIGH, as 1.8,2.6"
        )
    return low, high
