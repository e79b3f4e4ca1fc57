"""The search spaces that come with the package, read from their YAML files."""

from __future__ import annotations

from importlib import resources
from typing import Literal, get_args

import yaml

PresetName = Literal["auto", "tiny", "cifar", "cifar32", "aebnas"]
AUTO: PresetName = "auto"  # built for the images and the limit by `space.auto`; all others are files
PRESETS: tuple[PresetName, ...] = tuple(name for name in get_args(PresetName) if name != AUTO)


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
    declaration: dict[str, object] = yaml.safe_load(text)
    return declaration
