"""Class and file names that may contain bytes that are not valid UTF-8."""

from __future__ import annotations

from collections.abc import Sequence

from aebnas_bo.errors import DataError


def printable(name: str) -> str:
    r"""Return a name with bytes that are not valid UTF-8 escaped as in `\xe9`; they can be neither shown nor stored."""
    try:
        return name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    except UnicodeEncodeError:  # a lone surrogate, which no file name contains
        return ascii(name)


def check_class_names(names: Sequence[str], origin: str) -> None:
    """Check that class names can be stored.

    Args:
        names: Names of the classes.
        origin: Data set, for messages.

    Raises:
        DataError: If a name is not valid UTF-8.
    """
    refused = [name for name in names if not _is_text(name)]
    if refused:
        raise DataError(
            f"{origin}: expected class names in UTF-8, the encoding of stored results, got "
            f"{', '.join(map(printable, refused))}; rename them"
        )


def _is_text(name: str) -> bool:
    try:
        name.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True
