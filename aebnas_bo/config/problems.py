"""Problems of a configuration as short lines: what is echoed is cut, and so is their number."""

from __future__ import annotations

from collections.abc import Sequence

from aebnas_bo.errors import ConfigError

LONGEST_VALUE = 120  # characters of a value or a name that is echoed
LONGEST_PROBLEM = 600
LONGEST_REPORT = 1900  # characters of all problems together


def config_error(problems: Sequence[str]) -> ConfigError:
    """Return the error of these problems; what would fill screens is cut, and how many there are is said.

    Args:
        problems: One sentence per problem.
    """
    shown: list[str] = []
    length = 0
    distinct = dict.fromkeys(cut(printable(problem), LONGEST_PROBLEM) for problem in problems)
    for problem in distinct:
        length += len(problem) + 1
        if shown and length > LONGEST_REPORT:
            shown.append(f"and {len(distinct) - len(shown)} more; mend these first")
            break
        shown.append(problem)
    return ConfigError(shown)


def shown(value: object) -> str:
    """Return a value as it is echoed, cut where it is long."""
    return cut(repr(value))


def cut(text: str, most: int = LONGEST_VALUE) -> str:
    """Return a text, its middle left out where it is longer than so many characters, and then how long it is."""
    return text if len(text) <= most else f"{text[: most - 50]}…{text[-20:]} ({len(text):,} characters)"


def printable(text: str) -> str:
    """Return a text in one line, with escapes for what a terminal would not show as it is."""
    return text if text.isprintable() else "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)
