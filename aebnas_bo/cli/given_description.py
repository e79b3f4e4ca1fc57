"""Description of a space with a given backbone, for `aebnas-bo space`: its points, and which of them have exits."""

from __future__ import annotations

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from aebnas_bo.space.extremes import extreme_network
from aebnas_bo.space.given_backbone import BackbonePoint, GivenBackbone
from aebnas_bo.space.macs import exit_costs, millions
from aebnas_bo.space.network_space import NetworkSpace
from aebnas_bo.storage.count_text import counted


def describe_given(space: NetworkSpace, given: GivenBackbone) -> list[RenderableType]:
    """Describe the backbone and its points, and mark those behind which the space has exits.

    Args:
        space: The space.
        given: Its backbone.
    """
    most = exit_costs(extreme_network(space, "most expensive"), space.skeleton).cumulative[-1]
    backbone = (
        f"{given.source} {given.name}: {millions(given.macs):.4g} M MACs for an image of {given.resolution}x"
        f"{given.resolution}; at most {millions(most):.4g} M with all branches"
    )
    return [Text(backbone), "", _points(space, given), "", Text(_hint(space), style="dim")]


def _points(space: NetworkSpace, given: GivenBackbone) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for column in ("point", "behind", "features", "M MACs", "share", "exit"):
        table.add_column(column, justify="right" if column in {"M MACs", "share"} else "left", overflow="fold")
    exits = {stage: position + 1 for position, stage in enumerate(space.skeleton.exit_stages)}
    for number, point in enumerate(given.points):
        share = f"{100 * point.macs / given.macs:.0f} %"
        mark = f"exit{exits[number]}" if number in exits else ""
        table.add_row(
            str(number + 1), point.name, features_text(point), f"{millions(point.macs):.4g}", share, mark
        )  # fmt: skip
    return table


def features_text(point: BackbonePoint) -> str:
    """Return a text with the sizes of the features at a point."""
    if point.layout == "tokens":
        return f"{counted(point.num_tokens, 'token')} of {point.channels}"
    return f"{point.channels} maps of {point.side}x{point.side}"


def _hint(space: NetworkSpace) -> str:
    declared = space.declaration.backbone
    assert declared is not None
    weights = "" if declared.weights is not None else " Set space.backbone.weights before a run."
    return (
        "after_stage of an exit is the number of a point. Narrow the points with space.backbone.exits_after, a list of "
        f"their names.{weights}"
    )
