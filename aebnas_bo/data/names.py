"""Names of classes and files, which may hold bytes that are no text."""

from __future__ import annotations

from collections.abc import Sequence

from aebnas_bo.errors import DataError


def printable(name: str) -> str:
    r"""Return a name with escapes such as `\xe9` for bytes that are no UTF-8, which can be neither shown nor stored."""
    try:
        return name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    except UnicodeEncodeError:  # half a character, which no file name gives
        return ascii(name)


def check_class_names(names: Sequence[str], origin: str) -> None:
    """Refuse names of classes that cannot be stored.

    Args:
        names: The names.
        origin: Where they stand, for the message.

    Raises:
        DataError: If one is no UTF-8 text.
    """
    refused = [name for name in names if not _is_text(name)]
    if refused:
        raise DataError(
            f"{origin}: expected names of classes in UTF-8, in which results are stored, got "
            f"{', '.join(map(printable, refused))}; rename them"
        )


def _is_text(name: str) -> bool:
    try:
        name.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True
