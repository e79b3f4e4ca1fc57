"""Formatting of numbers for readers."""

from __future__ import annotations

SPACE = "\u00a0"  # no-break space between a number and its unit
SCALES = ((1e9, "G"), (1e6, "M"), (1e3, "k"))
ROUNDS_UP = 0.9995  # fraction from which three digits round up to 100 %


def macs_text(macs: float) -> str:
    """Format a number of MACs with three digits: `986`, `17.6 k`, `1.46 M`."""
    for scale, unit in SCALES:
        if macs >= ROUNDS_UP * scale:
            return f"{macs / scale:.{_decimals(macs / scale)}f}{SPACE}{unit}"
    return f"{macs:.0f}"


def percent_text(share: float) -> str:
    """Format a fraction as percent with three digits: `93.5 %`, `0.262 %`."""
    return f"{100.0 * share:.3g}{SPACE}%" if share < ROUNDS_UP else f"{100.0 * share:.0f}{SPACE}%"


def signed_text(value: float, decimals: int) -> str:
    """Format a number with its sign, using a typographic minus: `+1.20`, `−0.35`; zero has no sign."""
    text = f"{abs(value):.{decimals}f}"
    if float(text) == 0.0:
        return text
    return f"+{text}" if value > 0 else f"−{text}"


def duration_text(seconds: float) -> str:
    """Format a duration with its two largest units: `0.05 s`, `8 s`, `2 min 40 s`, `3 h 5 min`."""
    if seconds < 9.995:
        return f"{seconds:.2f} s"
    whole = round(seconds)
    if whole < 120:
        return f"{whole} s"
    if whole < 7200:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def _decimals(value: float) -> int:
    return 2 if value < 9.995 else 1 if value < 99.95 else 0
