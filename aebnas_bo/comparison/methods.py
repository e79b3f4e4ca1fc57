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
