"""Problems of a configuration as short lines; long values and long lists of problems are truncated."""

from __future__ import annotations

import re
from collections.abc import Sequence

from aebnas_bo.errors import ConfigError

LONGEST_VALUE = 120  # characters of a quoted value or name
LONGEST_PROBLEM = 600
LONGEST_REPORT = 1900  # characters of all problems
PASSWORD = re.compile(r"(://[^\s/@:]*):[^\s@]*")  # also of a URL whose end was cut off


def config_error(problems: Sequence[str]) -> ConfigError:
    """Return an error with these problems; a long list is truncated and its length stated.

    Args:
        problems: One sentence per problem.
    """
    shown: list[str] = []
    length = 0
    distinct = dict.fromkeys(cut(printable(without_password(problem)), LONGEST_PROBLEM) for problem in problems)
    for problem in distinct:
        length += len(problem) + 1
        if shown and length > LONGEST_REPORT:
            shown.append(f"and {len(distinct) - len(shown)} more; fix these first")
            break
        shown.append(problem)
    return ConfigError(shown)


def without_password(text: str) -> str:
    """Return a text with the passwords of URLs in it replaced by asterisks.

    Args:
        text: Any text.
    """
    return PASSWORD.sub(r"\1:***", text)


def shown(value: object) -> str:
    """Format a value for a message, truncated if it is long."""
    return cut(repr(value))


def cut(text: str, most: int = LONGEST_VALUE) -> str:
    """Shorten a long text in its middle and append its length."""
    return text if len(text) <= most else f"{text[: most - 50]}…{text[-20:]} ({len(text):,} characters)"


def printable(text: str) -> str:
    """Return a text as one line, with escapes for characters that terminals do not print."""
    return text if text.isprintable() else "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)
