"""Formatting of counts with nouns: `1 trial`, `2 trials`."""

from __future__ import annotations


def counted(number: int, noun: str, plural: str | None = None) -> str:
    """Format a count with its noun.

    Args:
        number: The count.
        noun: The noun, singular.
        plural: Its plural; by default the noun with an `s`.
    """
    return f"{number:,} {noun if number == 1 else plural or f'{noun}s'}"
