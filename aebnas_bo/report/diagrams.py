"""Diagrams of networks as inline SVG: layers in order, their cost and exit rates.

The trunk runs from top to bottom, and branches leave it to the right. The thickness of a line shows the fraction of
images that pass it. Colours are classes of the page's style sheet.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup, escape

from aebnas_bo.report.networks import ShownNetwork, ShownOutput
from aebnas_bo.report.number_text import macs_text, percent_text
from aebnas_bo.space.architecture import BranchLayer
from aebnas_bo.space.block_and_layer_kinds import LAYER_KINDS
from aebnas_bo.space.given_backbone import GivenBackbone, TokenPooling
from aebnas_bo.space.plan import BlockPlan, BranchPlan, NetworkPlan

WIDTH = 420.0
TRUNK_X = 26.0
STAGE_X, EXIT_X = 52.0, 84.0
TITLE_HEIGHT, LINE_HEIGHT, PADDING, GAP = 19.0, 16.0, 8.0, 16.0
OVERLAP = 0.6  # overlap of trunk pieces, to hide the seam between them
THICKEST = 22.0  # thickness of the trunk before the first exit
MOST_CHARACTERS = 44  # per line
ARROW = " → "
POOLINGS: dict[TokenPooling, str] = {
    "mean": "mean of tokens",
    "class_token": "class token",
    "attention": "attention over tokens",
}
UNNAMED = "inverted_residual"  # the usual kind of block


@dataclass(frozen=True)
class _Part:
    """Box of a diagram.

    Args:
        title: Title of the box.
        lines: Layers of the part.
        macs: MACs of the part.
        output: Output at this part; `None` for a part of the backbone.
        kind: CSS class.
    """

    title: str
    lines: tuple[str, ...]
    macs: int
    output: ShownOutput | None = None
    kind: str = "stage"

    @property
    def height(self) -> float:
        """Height of the box."""
        return TITLE_HEIGHT + LINE_HEIGHT * len(self.lines) + 2 * PADDING


def network_diagram(network: ShownNetwork) -> Markup:
    """Draw the diagram of a network.

    Args:
        network: The network.
    """
    parts = _parts(network)
    most = max(part.macs for part in parts)
    drawn: list[Markup] = []
    y, remaining = 4.0, 1.0
    for number, part in enumerate(parts):
        is_last = number == len(parts) - 1
        bottom = y + part.height + (0.0 if is_last else GAP)
        leaving = (part.output.exit_rate or 0.0) if part.output is not None else 0.0
        if is_last:
            end = EXIT_X if part.kind == "exit" else STAGE_X
            drawn += [_trunk(y, y + part.height / 2, remaining), _arm(y + part.height / 2, remaining, end)]
        elif part.output is None:
            drawn.append(_trunk(y, bottom, remaining))
        else:
            middle = y + part.height / 2
            drawn += [_trunk(y, middle, remaining), _trunk(middle, bottom, remaining - leaving)]
            drawn.append(_arm(middle, leaving, EXIT_X))
        drawn.append(_box(part, y, most))
        remaining -= leaving
        y = bottom
    label = f"Diagram of network {network.observed.key}"
    start = Markup('<svg class="diagram" viewBox="0 0 {} {}" role="img" aria-label="{}">').format(WIDTH, y + 4, label)
    return start + Markup("").join(drawn) + Markup("</svg>")


def _parts(network: ShownNetwork) -> list[_Part]:
    backbone = network.backbone
    if isinstance(backbone, GivenBackbone):
        return _with_exits(network, _pieces(network, backbone), _end_of_given(network))
    return _with_exits(network, _stages(network, backbone), _head(network, backbone))


def _with_exits(network: ShownNetwork, stages: Sequence[tuple[int, _Part]], end: _Part) -> list[_Part]:
    """Return the parts in order: every stage, numbered from 0, with the exit behind it, then the end."""
    parts, costs = [], network.costs
    for number, part in stages:
        parts.append(part)
        for position, stage in enumerate(costs.exit_stages):
            if stage == number:
                branch, macs = network.branches[position], costs.branches[position]
                parts.append(_exit_part(network.outputs[position], branch, macs))
    return parts if network.ends_at_exit else [*parts, end]


def _stages(network: ShownNetwork, plan: NetworkPlan) -> list[tuple[int, _Part]]:
    side, kernel = plan.resolution, plan.stem.kernel
    stem = f"{side}×{side} image, {kernel}×{kernel} convolution to {plan.stem.out_channels} channels"
    parts = [(-1, _Part("Stem", (stem,), network.costs.stem))]
    stages = list(zip(plan.stages, network.costs.stages, strict=True))[: network.last_stage + 1]
    for number, (blocks, macs) in enumerate(stages):
        if not blocks:
            continue
        last = blocks[-1].convolutions[-1]
        title = f"Stage {number + 1}: {last.out_channels} channels, {last.side}×{last.side}"
        parts.append((number, _Part(title, _lines([_block_text(block) for block in blocks]), macs)))
    return parts


def _head(network: ShownNetwork, plan: NetworkPlan) -> _Part:
    head = () if plan.head is None else (f"1×1 convolution to {plan.head.out_channels} channels",)
    final = network.outputs[-1]
    lines = (*head, f"pooling, {plan.classifier_channels} features", _leaving_text(final))
    return _Part(final.name, lines, network.costs.head, final, "final")


def _pieces(network: ShownNetwork, given: GivenBackbone) -> list[tuple[int, _Part]]:
    """Return the pieces of a given backbone from exit to exit, each numbered by the last point in it."""
    ends = list(network.costs.exit_stages)
    if not network.ends_at_exit and (not ends or ends[-1] < len(given.points) - 1):
        ends.append(len(given.points) - 1)
    parts, start = [], 0
    for end in ends:
        macs = sum(network.costs.stages[start : end + 1])
        parts.append((end, _Part(f"{given.name} up to {given.points[end].name}", (), macs)))
        start = end + 1
    return parts


def _end_of_given(network: ShownNetwork) -> _Part:
    final = network.outputs[-1]
    return _Part(final.name, (_leaving_text(final),), network.costs.head, final, "final")


def _exit_part(output: ShownOutput, branch: BranchPlan, macs: int) -> _Part:
    layers = [_layer_text(layer.layer) for layer in branch.layers]
    if branch.reader is not None and branch.reader.pooling is not None:
        layers = [POOLINGS[branch.reader.pooling], *layers]
    pooled = f"pooling, {branch.classifier_channels} features"
    lines = (*_lines(layers), pooled) if layers else (pooled,)
    return _Part(output.name, (*lines, _leaving_text(output)), macs, output, "exit")


def _leaving_text(output: ShownOutput) -> str:
    share = "" if output.exit_rate is None else percent_text(output.exit_rate)
    if output.threshold is None:
        return f"{share} of the images leave here" if share else "all remaining images leave here"
    return f"confidence ≥ {output.threshold:.3f}{f': {share} leave' if share else ''}"


def _block_text(block: BlockPlan) -> str:
    squeeze = " SE" if block.squeeze is not None else ""
    kernel = max(convolution.kernel for convolution in block.convolutions)
    name = "" if block.kind == UNNAMED else f"{LAYER_KINDS[block.kind].diagram_name} "
    expansion = f" ·{block.expansion}" if LAYER_KINDS[block.kind].expands else ""
    return f"{name}{kernel}×{kernel}{expansion}{squeeze}"


def _layer_text(layer: BranchLayer) -> str:
    resized = f"↑{layer.upsample} " if layer.upsample else ""
    name = LAYER_KINDS[layer.kind].diagram_name
    return f"{resized}{name} {layer.kernel}×{layer.kernel} ·{layer.expansion}{' pool' * layer.pool}"


def _lines(items: Sequence[str]) -> tuple[str, ...]:
    """Join items with arrows and wrap them into lines."""
    lines: list[str] = []
    for item in items:
        if lines and len(lines[-1]) + len(ARROW) + len(item) <= MOST_CHARACTERS:
            lines[-1] += ARROW + item
        else:
            lines.append(item)
    return tuple(lines)


def _trunk(top: float, bottom: float, share: float) -> Markup:
    template = '<line class="trunk" x1="{0}" x2="{0}" y1="{1:.1f}" y2="{2:.1f}" stroke-width="{3:.2f}"/>'
    return Markup(template).format(TRUNK_X, top - OVERLAP, bottom, _thickness(share))


def _arm(y: float, share: float, end: float) -> Markup:
    template = '<line class="arm" x1="{}" x2="{}" y1="{:.1f}" y2="{:.1f}" stroke-width="{:.2f}"/>'
    return Markup(template).format(TRUNK_X, end, y, y, _thickness(share))


def _thickness(share: float) -> float:
    """Return the thickness of a line, at least the minimum thickness."""
    return max(THICKEST * share, 1.0)


def _box(part: _Part, y: float, most: int) -> Markup:
    x = EXIT_X if part.kind == "exit" else STAGE_X
    width, right = WIDTH - x - 4, WIDTH - 14
    shapes = [
        Markup('<rect class="box {}" x="{}" y="{:.1f}" width="{}" height="{:.1f}" rx="7"/>').format(
            part.kind, x, y, width, part.height
        ),
        Markup('<rect class="cost {}" x="{}" y="{:.1f}" width="{:.1f}" height="3" rx="1.5"/>').format(
            part.kind, x + 10, y + part.height - 6, (width - 20) * part.macs / most
        ),
        _text("title", x=x + 10, y=y + PADDING + 12, text=part.title),
        _text("macs", x=right, y=y + PADDING + 12, text=macs_text(part.macs)),
    ]
    for number, line in enumerate(part.lines, start=1):
        shapes.append(_text("", x=x + 10, y=y + PADDING + 12 + LINE_HEIGHT * number, text=line))
    return Markup("").join(shapes)


def _text(kind: str, *, x: float, y: float, text: str) -> Markup:
    return Markup('<text class="{}" x="{}" y="{:.1f}">{}</text>').format(kind, x, y, escape(text))
