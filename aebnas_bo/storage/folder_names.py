"""Validation of names for folders on all operating systems."""

from __future__ import annotations

SEPARATORS = frozenset("/\\")
FORBIDDEN = frozenset(':*?"<>|')  # on Windows, whose disks are often shared
DEVICES = {"con", "prn", "aux", "nul", *(f"{name}{number}" for name in ("com", "lpt") for number in range(1, 10))}
MOST_BYTES = 200  # file systems allow 255 bytes; seed and number are appended


def folder_name_problem(name: str) -> str | None:
    """Return why a name is invalid as a prefix of a folder name, or `None` if it is valid.

    Args:
        name: The name.
    """
    is_framed = name.startswith((".", "-", "~", " ")) or name.endswith((".", " "))
    problems = {
        "holds / or \\": not SEPARATORS.isdisjoint(name),
        "holds a character that cannot be shown": not name.isprintable(),
        f"holds one of {' '.join(sorted(FORBIDDEN))}": not FORBIDDEN.isdisjoint(name),
        "begins with a dot, a dash, a tilde or a space, or ends with a dot or a space": is_framed,
        "is the name of a device on Windows": name.partition(".")[0].lower() in DEVICES,
        f"is longer than {MOST_BYTES} bytes": len(name.encode("utf-8", "replace")) > MOST_BYTES,
    }
    return next((problem for problem, is_so in problems.items() if is_so), None)
