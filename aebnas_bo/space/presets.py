"""The names of the search spaces that come with the package."""

from __future__ import annotations

from typing import Literal, get_args

PresetName = Literal["auto", "tiny", "cifar", "cifar32", "aebnas"]
AUTO: PresetName = "auto"  # built for the images and the limit by `space.auto`; all others are files
PRESETS: tuple[PresetName, ...] = tuple(name for name in get_args(PresetName) if name != AUTO)
