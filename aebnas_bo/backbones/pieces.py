"""A traced backbone cut at points into pieces that run one after another."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import fx

from aebnas_bo.backbones.exit_points import depends_on, is_number, point_node
from aebnas_bo.backbones.factories import NAME, BackboneInput, create_backbone
from aebnas_bo.backbones.tracing import TracedBackbone, trace
from aebnas_bo.errors import ConfigError
from aebnas_bo.space.given_backbone import GivenBackbone


def cut_at(traced: TracedBackbone, names: Sequence[str]) -> list[fx.GraphModule]:
    """Cut a backbone into pieces.

    Args:
        traced: The backbone.
        names: Names of points, in order.

    Returns:
        One piece from the images to the first point, one from each point to the next, and one from the last point to
        the logits. They share their weights with the backbone.

    Raises:
        ConfigError: If the backbone has no such point.
    """
    ends = [traced.image, *(point_node(traced, name) for name in names), traced.logits]
    return [_piece(traced, start, end) for start, end in pairwise(ends)]


def given_pieces(given: GivenBackbone) -> list[fx.GraphModule]:
    """Create a backbone with random weights, and cut it at all its points.

    Args:
        given: The backbone.

    Raises:
        ConfigError: If it cannot be created or traced, or has other points.
    """
    shape = BackboneInput(given.in_channels, given.num_classes, given.resolution)
    traced = trace(create_backbone(given.source, given.name, shape), shape)
    return cut_at(traced, [point.name for point in given.points])


def _piece(traced: TracedBackbone, start: fx.Node, end: fx.Node) -> fx.GraphModule:
    """Return the operations behind a node up to another one; values that no pixel changes are computed again."""
    dependent, graph = depends_on(traced.image), fx.Graph()
    features = graph.placeholder("features")
    copies: dict[fx.Node, fx.Node] = {start: features}

    def copied(node: fx.Node) -> fx.Node:
        if node not in copies:
            if not is_number(node):
                raise ConfigError(f"{NAME}: {end.name} needs {node.name} besides {start.name}")
            copies[node] = _multiple_of_batch(graph, features, node=node, image=traced.image)
        return copies[node]

    is_behind = False
    for node in traced.module.graph.nodes:
        is_constant = node not in dependent and node.op != "output" and not is_number(node)
        if is_constant or (is_behind and node not in copies):
            copies[node] = graph.node_copy(node, copied)
        is_behind = is_behind or node is start
        if node is end:
            break
    graph.output(copies[end])
    if _changes_input(graph, features):
        _protect(graph, features)
    graph.eliminate_dead_code()
    graph.lint()
    return fx.GraphModule(traced.module, graph)


def _multiple_of_batch(graph: fx.Graph, features: fx.Node, *, node: fx.Node, image: fx.Node) -> fx.Node:
    """Return a number that depends on the number of images, computed from the features."""
    batch = image.meta["val"].shape[0].node.expr
    factor = node.meta["val"].node.expr / batch
    if not factor.is_Integer:
        raise ConfigError(f"{NAME}: {node.name} is not a multiple of the number of images, but {factor * batch}")
    with graph.inserting_after(features):
        size = graph.call_function(torch.ops.aten.sym_size.int, (features, 0))
    if int(factor) == 1:
        return size
    with graph.inserting_after(size):
        return graph.call_function(operator.mul, (size, int(factor)))


def _changes_input(graph: fx.Graph, features: fx.Node) -> bool:
    """Return whether an operation changes the features in place, which a branch reads too."""
    aliases = {features}
    for node in graph.nodes:
        schema = getattr(node.target, "_schema", None)
        if node.op != "call_function" or schema is None:
            continue
        for argument, given in zip(schema.arguments, node.args, strict=False):
            if argument.alias_info is None or given not in aliases:
                continue
            if argument.alias_info.is_write:
                return True
            aliases.add(node)
    return False


def _protect(graph: fx.Graph, features: fx.Node) -> None:
    """Let a piece work on a copy of its input."""
    with graph.inserting_after(features):
        copy = graph.call_function(torch.ops.aten.clone.default, (features,))
    features.replace_all_uses_with(copy, delete_user_cb=lambda user: user is not copy)
