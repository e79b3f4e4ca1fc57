"""Methods by name: YAML files next to a configuration or in the package."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from aebnas_bo.errors import UsageError
from aebnas_bo.storage.folder_names import folder_name_problem

FOLDER = "methods"
SUFFIXES = (".yaml", ".yml")
PACKAGE_METHODS = Path(__file__).parent / FOLDER


def method_files(names: Sequence[str], config: Path) -> dict[str, Path]:
    """Return the file of each method by its short name.

    Args:
        names: Paths of YAML files, or names of files without suffix, which are searched in `methods/` next to the
            configuration and then in the package.
        config: The configuration.

    Raises:
        UsageError: If there is no such file, two methods have the same name, or one cannot name a folder.
    """
    if not names:
        raise UsageError("--methods: expected at least one name")
    own = config.parent / FOLDER
    found: dict[str, Path] = {}
    for name in names:
        path = _file(name, own)
        if path.stem in found:
            raise UsageError(f"--methods {name}: there are two methods called {path.stem}")
        if problem := folder_name_problem(path.stem):  # it names studies and their folders
            raise UsageError(f"--methods {name}: the name of the method {problem}; give the file another name")
        found[path.stem] = path
    return found


def _file(name: str, own: Path) -> Path:
    places = [Path(name)] if name.endswith(SUFFIXES) else [own / f"{name}.yaml", PACKAGE_METHODS / f"{name}.yaml"]
    path = next((place for place in places if os.path.isfile(place)), None)  # no error for names that cannot be
    if path is None:
        raise UsageError(
            f"--methods {name[:80]}: no such method; {own} has {_names(own)}; the package has "
            f"{_names(PACKAGE_METHODS)}; or give the path of a YAML file"
        )
    return path


def _names(folder: Path) -> str:
    return ", ".join(sorted(file.stem for file in folder.glob("*.yaml"))) or "none"
