"""Preset as a template file, for `aebnas-bo space --show`."""

from __future__ import annotations

import json
from pathlib import Path

from aebnas_bo.config.loading import load_config
from aebnas_bo.errors import UsageError
from aebnas_bo.space.auto import auto_declaration
from aebnas_bo.space.declaration import NetworkSpaceDeclaration
from aebnas_bo.space.declaration_text import declaration_text
from aebnas_bo.space.presets import AUTO, PresetName


def preset_text(name: PresetName, file: Path | None, *, image_size: int | None, max_average_macs: float | None) -> str:
    """Return a preset as a declaration with comments.

    Args:
        name: Name of the preset.
        file: Configuration with images and limit for `auto`; `None` takes the two options.
        image_size: Side of the images in pixels, instead of the one in the configuration.
        max_average_macs: Limit in millions, instead of the one in the configuration.

    Raises:
        UsageError: If `auto` lacks the size of the images, or another preset is combined with a configuration.
        ConfigError: If the configuration is wrong.
    """
    if name != AUTO:
        if file is not None:
            raise UsageError(f"--show {name} does not depend on images; leave out {file}")
        return declaration_text(load_config(None, [f"space={name}"]).space, f"The preset {name}, written out.")
    if file is not None:
        given = {"data.image_size": image_size, "search.max_average_macs": max_average_macs}
        settings = [f"{setting}={value}" for setting, value in given.items() if value is not None]
        declaration, images = load_config(file, ["space=auto", *settings]).space, f"the images and the limit of {file}"
    elif image_size is None:
        raise UsageError(
            "--show auto needs --image-size PIXELS (and --max-average-macs, if there is a limit), or the configuration "
            "of your images as FILE: this preset depends on them"
        )
    else:
        raw = auto_declaration(image_size, 3, max_average_macs)
        declaration = NetworkSpaceDeclaration.model_validate_json(json.dumps(raw))
        limit = "no limit" if max_average_macs is None else f"at most {max_average_macs:g} M average MACs"
        images = f"colour images of {image_size}x{image_size} pixels and {limit}"
    return declaration_text(declaration, f"The preset auto for {images}, written out.")
