"""Points of a traced backbone at which one tensor carries everything on, with the MACs up to each of them."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby, pairwise

import torch
from torch import Tensor, fx, nn
from torch.utils.flop_counter import FlopCounterMode

from aebnas_bo.backbones.factories import NAME, BackboneInput
from aebnas_bo.backbones.tracing import TracedBackbone
from aebnas_bo.errors import ConfigError
from aebnas_bo.space.given_backbone import BackbonePoint, Layout

FEWEST_BLOCKS = 2  # with fewer, the backbone has no blocks, and the ends of single layers are taken


def find_points(traced: TracedBackbone, shape: BackboneInput) -> tuple[tuple[BackbonePoint, ...], int]:
    """Return the points at which exits may be attached, and the MACs of the whole backbone.

    A point is the end of a block or a stage, or of a single layer in backbones without blocks, after which every
    operation depends on the image only through the output of that module. Of points without MACs between them, the last
    is taken; an exit must save more than a linear classifier costs.

    Args:
        traced: The backbone.
        shape: Images and classes.

    Raises:
        ConfigError: If there is no such point.
    """
    reached = _macs_up_to(traced, shape)
    total = reached[traced.logits]
    named = [(node, ended[0]) for node, ended in _ends_of_modules(traced)]
    blocks = _blocks(named, traced)
    points = [
        BackbonePoint(name, layout, sizes, reached[node])
        for node, name in (blocks if len(blocks) >= FEWEST_BLOCKS else named)
        for layout, sizes in _layout(node)
    ]
    lasting = [list(group)[-1] for _, group in groupby(points, key=lambda point: point.macs)]
    useful = [one for one in lasting if one.macs > 0 and total - one.macs > one.channels * shape.classes]
    if not useful:
        raise ConfigError(
            f"{NAME}: the backbone has no point at which one tensor carries everything on, between its modules and "
            "before its classifier, so that no exit can be attached; choose another backbone"
        )
    return tuple(useful), total


def point_node(traced: TracedBackbone, name: str) -> fx.Node:
    """Return the node whose output is the tensor at a point.

    Args:
        traced: The backbone.
        name: Name of the point.

    Raises:
        ConfigError: If the backbone has no such point.
    """
    nodes = [node for node, ended in _ends_of_modules(traced) if ended[0] == name]
    if not nodes:
        raise ConfigError(f"{NAME}: the backbone has no point {name} any more; its code or its library changed")
    return nodes[-1]


def depends_on(image: fx.Node) -> set[fx.Node]:
    """Return the nodes whose value depends on the pixels of the images, the images included.

    Values that depend on the number of images only, such as masks, are computed again where they are needed.
    """
    found = {image}
    for node in image.graph.nodes:
        if not is_number(node) and not found.isdisjoint(node.all_input_nodes):
            found.add(node)
    return found


def is_number(node: fx.Node) -> bool:
    """Return whether a node's value is a number that depends on the number of images."""
    return isinstance(node.meta.get("val"), torch.SymInt)


def _blocks(named: list[tuple[fx.Node, str]], traced: TracedBackbone) -> list[tuple[fx.Node, str]]:
    """Return the ends of stages and blocks, without those inside a block.

    Modules of a class are blocks if one of them ends at a point and contains none, as blocks with a skip connection do.
    """
    ending = {name for _, ended in _ends_of_modules(traced) for name in ended if name in traced.class_of}
    alone = {name for name in ending if not any(other.startswith(f"{name}.") for other in ending)}
    classes = {traced.class_of[name] for name in alone} - {nn.Sequential}
    return [
        (node, name)
        for node, name in named
        if name in ending and not any(traced.class_of.get(outer) in classes for outer in _around(name))
    ]


def _around(name: str) -> Iterator[str]:
    """Yield the paths of the modules that contain a module."""
    parts = name.split(".")
    yield from (".".join(parts[:length]) for length in range(1, len(parts)))


def _ends_of_modules(traced: TracedBackbone) -> Iterator[tuple[fx.Node, list[str]]]:
    """Yield the nodes that alone carry everything on, each with the modules that end there, outermost first."""
    for node, following in _cuts(traced):
        own, later = _stack(node), _stack(following)
        ended = [name for name in own if name not in later]
        if ended:
            yield node, ended


def _cuts(traced: TracedBackbone) -> Iterator[tuple[fx.Node, fx.Node]]:
    """Yield the nodes that alone carry everything on, each with the next node that depends on the images."""
    dependent = depends_on(traced.image)
    nodes = [node for node in traced.module.graph.nodes if node in dependent]
    position = {node: number for number, node in enumerate(nodes)}
    needed_until = 0  # position of the last node that reads one of the earlier values
    for number, (node, following) in enumerate(pairwise(nodes)):
        if number and needed_until <= number and following.op != "output" and _has_batch(node, traced.image):
            yield node, following
        readers = [position[user] for user in node.users if user in position]
        needed_until = max([needed_until, *readers])


def _has_batch(node: fx.Node, image: fx.Node) -> bool:
    """Return whether a node's value is a tensor whose first axis is that of the images."""
    value = node.meta.get("val")
    return isinstance(value, Tensor) and value.ndim > 1 and str(value.shape[0]) == str(image.meta["val"].shape[0])


def _stack(node: fx.Node) -> list[str]:
    """Return the paths of the modules that a node belongs to, outermost first, without the backbone itself."""
    paths = [path for path, _ in node.meta.get("nn_module_stack", {}).values()]
    return [path.partition("@")[0] for path in paths if path]  # modules that run several times have a number behind it


def _layout(node: fx.Node) -> Iterator[tuple[Layout, tuple[int, ...]]]:
    """Yield the layout and the sizes of a point that branches can read."""
    sizes = tuple(node.meta["val"].shape[1:])
    if not all(isinstance(size, int) for size in sizes):
        return
    if len(sizes) == 3 and sizes[1] == sizes[2]:
        yield "map", sizes
    elif len(sizes) == 3 and sizes[0] == sizes[1]:
        yield "map_last", sizes
    elif len(sizes) == 2 and sizes[0] > 1:
        yield "tokens", sizes


class _Counting(fx.Interpreter):
    """Runs a graph and notes the MACs up to every node."""

    def __init__(self, module: fx.GraphModule, counter: FlopCounterMode) -> None:
        super().__init__(module)
        self.counter = counter
        self.reached: dict[fx.Node, int] = {}

    def run_node(self, n: fx.Node) -> object:
        """Run a node."""
        found: object = super().run_node(n)
        self.reached[n] = self.counter.get_total_flops() // 2
        return found


@torch.no_grad()
def _macs_up_to(traced: TracedBackbone, shape: BackboneInput) -> dict[fx.Node, int]:
    """Return the MACs of one image up to every node, that node included."""
    device = next(traced.module.parameters(), torch.empty(0)).device
    image = torch.zeros(1, shape.channels, shape.side, shape.side, device=device)
    with FlopCounterMode(display=False) as counter:
        counting = _Counting(traced.module, counter)
        counting.run(image)
    return counting.reached
