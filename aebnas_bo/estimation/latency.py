"""Latency of a network without running it: the parts of all networks of a space are measured once and summed.

The latency of a sequential network is the sum over its parts, if each part is timed under deployment conditions: a
single image, BatchNorm folded, equal dtype and memory format, a fixed number of threads (the lookup table of
Once-for-All and FBNet). Within a network, a part takes longer than in repeated runs, which keep its weights in the
processor's cache. One factor corrects for this; it is fitted to a few whole networks timed together with the parts
(`latency_timing.py`). Decoding, normalising and resizing an image are not counted.

References:
    H. Cai, C. Gan, T. Wang, Z. Zhang, S. Han. Once-for-All: Train One Network and Specialize it for Efficient
    Deployment. ICLR 2020.
    B. Wu, X. Dai, P. Zhang and others. FBNet: Hardware-Aware Efficient ConvNet Design via Differentiable Neural
    Architecture Search. CVPR 2019.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from itertools import product
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, ValidationError
from torch import Tensor, fx, nn

from aebnas_bo.backbones.pieces import given_pieces
from aebnas_bo.early_exit.confidence import confidence
from aebnas_bo.early_exit.settings import ConfidenceName
from aebnas_bo.errors import ConfigError, EstimationError, first_problem
from aebnas_bo.space.architecture import Activation, BranchLayer, ExitBranch, Skeleton, Stage, content_key
from aebnas_bo.space.given_backbone import GivenBackbone
from aebnas_bo.space.network_space import NetworkSpace
from aebnas_bo.space.plan import (
    BlockPlan,
    BranchLayerPlan,
    BranchPlan,
    ConvPlan,
    ReaderPlan,
    branch_plan,
    head_plan,
    stage_plan,
    stem_plan,
)
from aebnas_bo.storage.count_text import counted
from aebnas_bo.storage.frozen_model import FrozenModel
from aebnas_bo.storage.regular_files import read_regular
from aebnas_bo.supernet.point_reader import PointReader
from aebnas_bo.supernet.subnet import BackboneBlock, BranchLayerModule, ConvNorm, PooledClassifier, activation_module

NANOSECONDS_PER_MS = 1e6
MOST_BYTES = 1 << 26  # of a table
SHOWN = 3  # missing parts that a message names


@dataclass(frozen=True)
class Part:
    """Part of a network that can be timed.

    Args:
        name: Name that includes everything its latency depends on.
        build: Function that constructs the module.
        shape: Shape of its input: channels and side in pixels, the sizes of a point, or the number of logits.
    """

    name: str
    build: Callable[[], nn.Module]
    shape: tuple[int, ...]


class LatencyTable(FrozenModel):
    """Table of measured latencies, with the machine they were measured on.

    Args:
        format: Version of the file.
        machine: Name of the processor or the GPU.
        device: `cpu` or `cuda`.
        num_threads: CPU threads.
        torch: Version of PyTorch.
        factor: Ratio of the latency of whole networks to the sum over their parts.
        nanoseconds: Latency of each part for one image, by the part's name.
    """

    format: Literal[1] = 1
    machine: str
    device: str
    num_threads: int
    torch: str
    factor: Annotated[float, Field(gt=0.0)]
    nanoseconds: dict[str, Annotated[int, Field(ge=0)]]

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read a table.

        Raises:
            ConfigError: If the file cannot be read, or is not a latency table.
        """
        try:
            return cls.model_validate_json(read_regular(path, MOST_BYTES))
        except OSError as error:
            raise ConfigError(f"{path}: cannot be read ({error.strerror}); expected a latency table") from error
        except ValidationError as error:
            raise ConfigError(
                f"{path}: is not a latency table of this version ({first_problem(error)}); measure it again with "
                "`aebnas-bo latency-table`"
            ) from error

    @property
    def key(self) -> str:
        """Hash of the contents."""
        return content_key(self.model_dump(mode="json"))

    def check_covers(self, parts: Iterable[Part]) -> None:
        """Check that every part was measured.

        Raises:
            ConfigError: If one is missing.
        """
        missing = [part.name for part in parts if part.name not in self.nanoseconds]
        if missing:
            names = "; ".join(missing[:SHOWN]) + ("; ..." if len(missing) > SHOWN else "")
            raise ConfigError(
                f"the latency table lacks {counted(len(missing), 'part')} of this space ({names}); "
                "measure it for this space and these images with `aebnas-bo latency-table`"
            )


@dataclass(frozen=True)
class LatencyPrices:
    """Latencies of a network's parts in nanoseconds, from a table; see `space.macs.PartPrices`.

    Args:
        table: The table.
        skeleton: The fixed part of the space.
        confidence: Confidence measure; its computation and the comparison with a threshold count as part of a branch.
    """

    table: LatencyTable
    skeleton: Skeleton
    confidence: ConfidenceName

    def stem(self, plan: ConvPlan) -> int:
        """Return the latency of the stem."""
        return self._sum([_stem(plan, self.skeleton.activation)])

    def stage(self, blocks: Sequence[BlockPlan]) -> int:
        """Return the latency of one backbone stage."""
        return self._sum(_block(block, self.skeleton.activation) for block in blocks)

    def branch(self, plan: BranchPlan) -> int:
        """Return the latency of an exit branch, including the exit decision."""
        skeleton = self.skeleton
        classifier = _classifier(plan.classifier_channels, plan.classifier_side, skeleton.exit_outputs)
        reader = [] if plan.reader is None else [_reader(plan.reader)]
        return self._sum([*reader, *map(_layer, plan.layers), classifier, _decision(self.confidence, skeleton)])

    def head(self, plan: ConvPlan | None, channels: int, side: int) -> int:
        """Return the latency of head and final classifier."""
        return self._sum(_head(plan, channels=channels, side=side, skeleton=self.skeleton))

    def pieces(self, given: GivenBackbone) -> tuple[int, ...]:
        """Return the latency of every piece of a given backbone."""
        return tuple(self._sum([part]) for part in _pieces(given))

    def _sum(self, parts: Iterable[Part]) -> int:
        known = self.table.nanoseconds
        names = [part.name for part in parts]
        missing = [name for name in names if name not in known]
        if missing:
            raise EstimationError(f"the latency table lacks {missing[0]}")
        return round(self.table.factor * sum(known[name] for name in names))


def parts_of(space: NetworkSpace, confidence_name: ConfidenceName) -> list[Part]:
    """Return the distinct parts of all networks of a space."""
    skeleton, declaration = space.skeleton, space.declaration
    if skeleton.given is not None:
        return _parts_with_backbone(space, skeleton.given, confidence_name)
    found: dict[str, Part] = {}

    def note(parts: Iterable[Part]) -> None:
        found.update((part.name, part) for part in parts)

    for resolution in declaration.resolutions:
        stems = [stem_plan(resolution, width, skeleton) for width in declaration.stages[0].widths]
        note(_stem(stem, skeleton.activation) for stem in stems)
        channels, side = {stem.out_channels for stem in stems}, stems[0].side
        for number, choices in enumerate(declaration.stages):
            for inputs, width, block in product(channels, choices.widths, choices.blocks):
                stage = Stage(width, (block,) * max(choices.depths))
                blocks = stage_plan(
                    stage,
                    in_channels=inputs,
                    side=side,
                    stride=choices.stride,
                    is_squeezed=number in skeleton.squeezed_stages,
                )
                note(_block(block, skeleton.activation) for block in blocks)
            if 0 in choices.depths:
                for inputs in channels:
                    note(_head(head_plan(inputs, side, skeleton), channels=inputs, side=side, skeleton=skeleton))
            channels, side = set(choices.widths), blocks[-1].convolutions[-1].side
            for position in (n for n, stage_ in enumerate(skeleton.exit_stages) if stage_ == number):
                for width in channels:
                    note(_branch_parts(space, position, channels=width, side=side))
                note([_decision(confidence_name, skeleton)])
        for width in channels:
            note(_head(head_plan(width, side, skeleton), channels=width, side=side, skeleton=skeleton))
    return list(found.values())


def _parts_with_backbone(space: NetworkSpace, given: GivenBackbone, confidence_name: ConfidenceName) -> list[Part]:
    """Return the distinct parts of all networks on a given backbone."""
    parts = _pieces(given)
    for position, stage in enumerate(space.skeleton.exit_stages):
        point = given.points[stage]
        poolings = space.declaration.exits[position].poolings or (None,)
        parts += [_reader(ReaderPlan(point.layout, point.shape, pooling)) for pooling in poolings]
        parts += _branch_parts(space, position, channels=point.channels, side=point.side)
        parts.append(_decision(confidence_name, space.skeleton))
    return list({part.name: part for part in parts}.values())


def _pieces(given: GivenBackbone) -> list[Part]:
    """Return the pieces of a given backbone, which are created when the first of them is."""
    image = (given.in_channels, given.resolution, given.resolution)
    shapes = [image, *(point.shape for point in given.points)]

    def built(number: int) -> nn.Module:
        return _built_pieces(given)[number]

    return [
        Part(f"piece {number + 1} of {given.key}", partial(built, number), shape) for number, shape in enumerate(shapes)
    ]


@lru_cache(maxsize=1)
def _built_pieces(given: GivenBackbone) -> list[fx.GraphModule]:
    return given_pieces(given)


def pieces_of(skeleton: Skeleton) -> Sequence[nn.Module]:
    """Return the pieces of a given backbone with random weights, created once; none where the backbone is searched."""
    return () if skeleton.given is None else _built_pieces(skeleton.given)


def _branch_parts(space: NetworkSpace, position: int, *, channels: int, side: int) -> list[Part]:
    """Return the parts of all branches of an exit whose input has the given number of channels and side in pixels."""
    choices, skeleton = space.declaration.exits[position], space.skeleton
    found: list[Part] = []
    states = {(channels, side)}  # possible output shapes of the layers so far
    for depth in range(1, max(choices.depths, default=0) + 1):
        if depth in choices.depths:
            found += [_classifier(*state, skeleton.exit_outputs) for state in states]
        if depth > len(choices.layers):
            break
        options = choices.layers[depth - 1]
        following = set()
        for state, kind, kernel, expansion, pool, upsample in product(
            states, options.kinds, options.kernels, options.expansions, options.pools, options.upsamples
        ):
            layer = BranchLayer(kind, kernel, expansion, pool, upsample)
            plan = branch_plan(ExitBranch((layer,)), *state, stride=skeleton.branch_stride)
            found += map(_layer, plan.layers)
            following.add((plan.classifier_channels, plan.classifier_side))
        states = following
    return found


class Decision(nn.Module):
    """Exit decision after a branch: computes the confidence and compares it with a threshold."""

    def __init__(self, name: ConfidenceName, num_classes: int) -> None:
        super().__init__()
        self._name = name
        self._num_classes = num_classes

    def forward(self, logits: Tensor) -> bool:
        """Decide on one image's logits, `1 x K` or `1 x (K + 1)`."""
        return bool((confidence(logits, self._name, self._num_classes) >= 0.5).all())


def _text(plan: ConvPlan) -> str:
    """Return a text with everything the latency of a convolution depends on."""
    kind = " depthwise" if plan.is_depthwise else ""
    stride = f"/{plan.stride}" if plan.stride > 1 else ""
    return f"{plan.in_channels}-{plan.out_channels} {plan.kernel}x{plan.kernel}{stride}{kind} to {plan.side}"


def _input(plan: ConvPlan) -> tuple[int, int, int]:
    side = plan.side * plan.stride  # an odd input may be 1 smaller with the same output size
    return plan.in_channels, side, side


def _stem(plan: ConvPlan, activation: Activation) -> Part:
    return Part(f"conv {_text(plan)} {activation}", lambda: ConvNorm(plan, activation_module(activation)), _input(plan))


def _block(plan: BlockPlan, activation: Activation) -> Part:
    text = ", ".join(map(_text, plan.convolutions))
    squeeze = f" squeeze {plan.squeeze.squeezed}" if plan.squeeze is not None else ""
    name = f"block {text} {activation}{squeeze}{' residual' if plan.has_residual else ''}"
    return Part(name, lambda: BackboneBlock(plan, activation), _input(plan.convolutions[0]))


def _reader(plan: ReaderPlan) -> Part:
    pooled = f", {plan.pooling}" if plan.pooling else ""
    sizes = "x".join(map(str, plan.shape))
    return Part(f"reader of {plan.layout} {sizes}{pooled}", lambda: PointReader(plan), plan.shape)


def _layer(plan: BranchLayerPlan) -> Part:
    layer = plan.layer
    before = f"upsample {layer.upsample}, " if layer.upsample else ""
    name = f"layer {before}{', '.join(map(_text, plan.convolutions))}{', pool' if layer.pool else ''}"
    return Part(name, lambda: BranchLayerModule(plan), _input(plan.convolutions[0]))


def _classifier(channels: int, side: int, num_outputs: int) -> Part:
    name = f"classifier {channels} of {side} to {num_outputs}"
    return Part(name, lambda: PooledClassifier(channels, num_outputs), (channels, side, side))


def _decision(name: ConfidenceName, skeleton: Skeleton) -> Part:
    classes = skeleton.num_classes
    return Part(f"decision {name} of {classes}", lambda: Decision(name, classes), (skeleton.exit_outputs,))


def _head(plan: ConvPlan | None, *, channels: int, side: int, skeleton: Skeleton) -> list[Part]:
    if plan is None:
        return [_classifier(channels, side, skeleton.num_classes)]
    return [_stem(plan, skeleton.activation), _classifier(plan.out_channels, plan.side, skeleton.num_classes)]
