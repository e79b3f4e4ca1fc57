"""Methods by name: the YAML files in `methods/` beside a configuration."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from aebnas_bo.errors import UsageError

FOLDER = "methods"


def method_files(names: Sequence[str], config: Path) -> dict[str, Path]:
    """Return the file of each method by its short name.

    Args:
        names: Names of files in `methods/` beside the configuration, without suffix, or paths of YAML files.
        config: The configuration.

    Raises:
        UsageError: If one is not there, or two have the same name.
    """
    if not names:
        raise UsageError("--methods: expected at least one name")
    folder = config.parent / FOLDER
    found: dict[str, Path] = {}
    for name in names:
        path = Path(name) if name.endswith((".yaml", ".yml")) else folder / f"{name}.yaml"
        if not path.is_file():
            known = sorted(file.stem for file in folder.glob("*.yaml"))
            there = f"there is {', '.join(known)}" if known else f"{folder} has none"
            raise UsageError(f"--methods {name}: no such method; {there}; or give the path of a YAML file")
        if path.stem in found:
            raise UsageError(f"--methods {name}: there are two methods called {path.stem}")
        found[path.stem] = path
    return found


def parse_seeds(text: str) -> list[int]:
    """Return the seeds of a text such as `0-4` or `0,3,7-9`, ascending and distinct.

    Raises:
        UsageError: If it is anything else.
    """
    seeds: set[int] = set()
    for part in text.split(","):
        first, separator, last = part.strip().partition("-")
        if not first.isdecimal() or (separator and not last.isdecimal()) or (separator and int(last) < int(first)):
            raise UsageError(f"--seeds {text}: expected numbers and ranges such as 0-4 or 0,3,7-9")
        seeds |= set(range(int(first), int(last if separator else first) + 1))
    return sorted(seeds)
