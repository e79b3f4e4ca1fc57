"""Description of a search space, for `aebnas-bo space`."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

from aebnas_bo.analysis.table_layout import print_table
from aebnas_bo.cli.given_description import describe_given
from aebnas_bo.config.loading import is_declaration, load_config
from aebnas_bo.errors import ConfigError
from aebnas_bo.space.architecture import Architecture
from aebnas_bo.space.declaration import NetworkSpaceDeclaration
from aebnas_bo.space.extremes import extreme_network, sides
from aebnas_bo.space.macs import exit_costs, millions
from aebnas_bo.space.network_space import NetworkSpace
from aebnas_bo.space.remarks import remarks
from aebnas_bo.space.search_space import ChoiceParameter, ContinuousParameter
from aebnas_bo.storage.count_text import counted

SAMPLES = 500
IN_CHANNELS, NUM_CLASSES = 3, 10  # images assumed for a declaration without a configuration


def describe_space(path: Path | None, lists_parameters: bool = False) -> list[RenderableType]:
    """Describe a space: size, extreme networks, stages, exits and remarks.

    Args:
        path: YAML file, a configuration or only a declaration; `None` for the embedded default.
        lists_parameters: Whether to list every parameter.

    Raises:
        AebnasError: If the declaration, the configuration or its images are wrong.
    """
    space, images = _read(path)
    parts: list[RenderableType] = [_heading(space, path), ""]
    given = space.skeleton.given
    if given is not None:
        parts += describe_given(space, given)
    else:
        parts += [_extremes(space)]
        parts += [Text(f"MACs of an image that passes every exit, including branches; {images}.", style="dim")]
        parts += ["", _stages(space)]
    if space.declaration.exits:
        parts += ["", _exits(space)]
    if lists_parameters:
        parts += ["", _parameters(space)]
    parts.append("")
    found = remarks(space)
    parts += [Text.assemble(("remark: ", "bold yellow"), remark) for remark in found]
    parts += [] if found else [Text("No problems, no remarks.", style="dim")]
    return parts


def print_description(console: Console, parts: Sequence[RenderableType]) -> None:
    """Print what `describe_space` returned; tables fit the terminal.

    Args:
        console: Terminal to print to.
        parts: Parts to print.
    """
    for part in parts:
        if isinstance(part, Table):
            print_table(console, part)
        else:
            console.print(part)


def _read(path: Path | None) -> tuple[NetworkSpace, str]:
    """Return the space of a file, and a text on the images that its costs refer to."""
    if path is None or not is_declaration(path):
        config = load_config(path)
        from aebnas_bo.preparation.problem import Problem  # slow to import; errors should be reported fast

        space = Problem.load(config).space
        channels, classes = space.skeleton.in_channels, space.skeleton.num_classes
        kind = f"{counted(channels, 'channel')}, {counted(classes, 'class', 'classes')}"
        return space, f"images of the configuration ({kind})"
    try:
        declaration = load_config(None, [f"space={json.dumps(str(path))}"]).space
        if declaration.backbone is not None:
            declaration = _for_unknown_images(declaration)
        space = NetworkSpace(declaration, IN_CHANNELS, NUM_CLASSES)
    except ConfigError as error:
        raise ConfigError([_of_file(problem, path) for problem in error.problems]) from error
    return space, f"colour images of {NUM_CLASSES} classes; give a configuration for other images"


def _for_unknown_images(declaration: NetworkSpaceDeclaration) -> NetworkSpaceDeclaration:
    from aebnas_bo.preparation.backbone_loading import completed_space  # slow to import

    if not declaration.resolutions:
        raise ConfigError(
            "space.resolutions: is missing; give the side of the images as [PIXELS], or describe a configuration with "
            "images"
        )
    [side] = declaration.resolutions
    return completed_space(declaration, in_channels=IN_CHANNELS, num_classes=NUM_CLASSES, image_size=side)


def _of_file(problem: str, path: Path) -> str:
    """Rewrite a problem of a configuration's space as one of the file that declares it."""
    hint = "; `aebnas-bo space --show tiny` shows every field" if problem.endswith("is missing") else ""
    return f"{path}: {problem.removeprefix('space.')}{hint}"


def _heading(space: NetworkSpace, path: Path | None) -> Text:
    parameters = space.search_space.parameters
    thresholds = sum(isinstance(parameter, ContinuousParameter) for parameter in parameters)
    choices = f"{len(parameters) - thresholds} choices"
    also = f" and {thresholds} continuous thresholds" if thresholds else ""
    name = "the embedded default" if path is None else str(path)
    return Text.assemble((name, "bold"), f": {_count(space.search_space.num_discrete)} networks, by {choices}{also}")


def _extremes(space: NetworkSpace) -> Table:
    generator = np.random.default_rng(0)
    drawn = [space.architecture(space.search_space.sample(generator)) for _ in range(SAMPLES)]
    drawn.sort(key=lambda one: exit_costs(one, space.skeleton).cumulative[-1])
    table = _table("network", "M MACs", "parameters", "resolution", "blocks of each stage", "exits after stages")
    table.add_row("cheapest", *_network(space, extreme_network(space, "cheapest")))
    table.add_row(f"median of {SAMPLES} drawn", *_network(space, drawn[SAMPLES // 2]))
    table.add_row("most expensive", *_network(space, extreme_network(space, "most expensive")))
    return table


def _network(space: NetworkSpace, architecture: Architecture) -> tuple[str, ...]:
    from aebnas_bo.supernet.subnet import Subnet

    macs = millions(exit_costs(architecture, space.skeleton).cumulative[-1])
    weights = sum(parameter.numel() for parameter in Subnet(architecture, space.skeleton).parameters())
    blocks = [len(stage.blocks) for stage in architecture.stages]
    exits = [space.skeleton.exit_stages[position] + 1 for position in architecture.active_exits]
    return f"{macs:.3g}", f"{weights:,}", str(architecture.resolution), _list(blocks), _list(exits) or "none"


def _stages(space: NetworkSpace) -> Table:
    at_ends = [sides(space, r) for r in (space.declaration.resolutions[0], space.declaration.resolutions[-1])]
    table = _table("stage", "pixels a side", "widths", "blocks", "kinds", "kernels", "expansions")
    for number, stage in enumerate(space.declaration.stages, start=1):
        pixels = " to ".join(dict.fromkeys(str(end[number]) for end in at_ends))
        squeeze = " (squeezed)" if number in space.declaration.squeeze_excitation else ""
        choices = (stage.widths, stage.depths, stage.kinds, stage.kernels, stage.expansions)
        table.add_row(f"{number}{squeeze}", pixels, *map(_list, choices))
    return table


def _exits(space: NetworkSpace) -> Table:
    after = "after stage" if space.skeleton.given is None else "after point"
    table = _table("exit", after, "layers (0: no exit)", "kinds", "kernels", "expansions", "threshold")
    for number, exit_ in enumerate(space.declaration.exits, start=1):
        layers = [
            _list(dict.fromkeys(value for layer in exit_.layers for value in getattr(layer, name)))
            for name in ("kinds", "kernels", "expansions")
        ]
        values = _list(exit_.threshold_values) or (
            "tuned" if exit_.threshold is None else "{} to {}".format(*exit_.threshold)
        )
        table.add_row(str(number), str(exit_.after_stage), _list(exit_.depths), *layers, values)
    return table


def _parameters(space: NetworkSpace) -> Table:
    table = _table("parameter", "values", "group", "matters when")
    for parameter in space.search_space.parameters:
        values = (
            _list(parameter.values)
            if isinstance(parameter, ChoiceParameter)
            else f"{parameter.lower} to {parameter.upper}"
        )
        condition = parameter.active_when
        when = f"{condition.parameter}: {_list(condition.values)}" if condition else ""
        table.add_row(parameter.name, values, parameter.group, when)
    return table


def _table(*columns: str) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for column in columns:
        table.add_column(
            column, justify="right" if column in {"M MACs", "parameters", "resolution"} else "left", overflow="fold"
        )
    return table


def _list(values: Iterable[object]) -> str:
    return " ".join(map(str, values))


def _count(number: int) -> str:
    return f"{number:,}" if number < 1_000_000 else f"{number:.2g}".replace("e+", "e")
