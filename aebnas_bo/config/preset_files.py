"""YAML files of the search spaces in the package."""

from __future__ import annotations

from importlib import resources

from aebnas_bo.config.yaml_reader import read_yaml
from aebnas_bo.space.presets import PRESETS


def read_preset(name: str) -> dict[str, object]:
    """Return the raw declaration of a preset.

    Args:
        name: One of `PRESETS`.

    Raises:
        KeyError: If there is no such preset.
    """
    if name not in PRESETS:
        raise KeyError(name)
    text = resources.files("aebnas_bo.config").joinpath("presets", f"{name}.yaml").read_text(encoding="utf-8")
    declaration = read_yaml(text, f"preset {name}")
    assert isinstance(declaration, dict)
    return declaration
