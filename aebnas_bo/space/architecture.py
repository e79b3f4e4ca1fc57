"""Architecture of one network: a frozen value with a stable key.

An `Architecture` holds only active parts, without blocks beyond a stage's depth, layers beyond a branch's depth and
absent exits. Equal networks are therefore equal values with equal keys. `Skeleton` holds the parts that are fixed
within a search space (stem, strides, head, classes).
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from functools import lru_cache
from typing import Literal

from aebnas_bo.space.block_and_layer_kinds import LayerKind
from aebnas_bo.space.given_backbone import GivenBackbone, TokenPooling

Activation = Literal["relu", "hardswish"]


@dataclass(frozen=True)
class Skeleton:
    """Fixed part of all networks of a space.

    Args:
        in_channels: Channels of an input image.
        num_classes: Number of classes, `K`.
        stem_channels: Output channels of the 3x3 stem convolution; `None` takes half the first stage's width.
        stem_stride: Stride of the stem.
        stage_strides: Stride of the first block of each stage.
        exit_stages: Stage (counted from 0) before the branch of each exit position.
        branch_stride: Stride of the spatial convolution of every branch layer.
        head_channels: Channels of the 1x1 convolution before the final pooling; 0 for none.
        activation: Non-linearity used throughout the backbone; branches use ReLU.
        has_learned_confidence: Whether every exit has one more output, the logit of its confidence.
        squeezed_stages: Stages (from 0) whose blocks have squeeze-and-excitation.
        given: The given backbone, whose points take the place of stages; `None` if the backbone is searched.
    """

    in_channels: int
    num_classes: int
    stem_channels: int | None
    stem_stride: int
    stage_strides: tuple[int, ...]
    exit_stages: tuple[int, ...]
    branch_stride: int
    head_channels: int
    activation: Activation
    has_learned_confidence: bool = False
    squeezed_stages: tuple[int, ...] = ()
    given: GivenBackbone | None = None

    @property
    def exit_outputs(self) -> int:
        """Outputs of an exit's classifier; the final classifier has `K`."""
        return self.num_classes + int(self.has_learned_confidence)


@dataclass(frozen=True)
class Block:
    """Block of the backbone, with a residual connection if input and output have equal shapes.

    Args:
        kernel: Kernel size of the spatial convolution.
        expansion: Channel multiplier inside kinds that expand, such as an inverted residual; 1 for the others.
        kind: Kind of block (`block_and_layer_kinds.LAYER_KINDS`).
    """

    kernel: int
    expansion: int
    kind: LayerKind = "inverted_residual"


@dataclass(frozen=True)
class Stage:
    """`len(blocks)` blocks of `width` output channels; the first block carries the stage's stride.

    A stage without blocks is absent: its width is 0, and the final classifier reads the stage before it.
    """

    width: int
    blocks: tuple[Block, ...]


@dataclass(frozen=True)
class BranchLayer:
    """One layer of an exit branch.

    Args:
        kind: Kind of layer (`block_and_layer_kinds.LAYER_KINDS`). `dense` and `depthwise_separable` multiply the number
            of channels by `expansion`; kinds that expand inside, such as `inverted_residual`, keep it.
        kernel: Kernel size of the spatial convolution.
        expansion: Channel multiplier.
        pool: Whether a 2x2 max-pool follows.
        upsample: Side in pixels that the input is resized to first (bicubic); 0 for no resizing.
    """

    kind: LayerKind
    kernel: int
    expansion: int
    pool: bool
    upsample: int


@dataclass(frozen=True)
class ExitBranch:
    """Layers, then global average pooling and a linear classifier; no layers is a valid branch.

    Args:
        layers: The layers.
        pooling: How a branch of a given backbone pools tokens before its layers; `None` for maps.
    """

    layers: tuple[BranchLayer, ...]
    pooling: TokenPooling | None = None


@dataclass(frozen=True)
class Architecture:
    """One early-exit network without its thresholds.

    Args:
        resolution: Side in pixels to which images are resized.
        stages: The backbone.
        exits: One entry per exit position of the skeleton; `None` for an absent exit. The final classifier
            always exists and is not listed.
    """

    resolution: int
    stages: tuple[Stage, ...]
    exits: tuple[ExitBranch | None, ...]

    @property
    def key(self) -> str:
        """First 12 hexadecimal digits of the SHA-256 of the canonical JSON form.

        The form leaves out the kind of an inverted residual and the pooling of maps, so that networks keep the keys
        they had when there were no others.
        """
        return _architecture_key(self)

    @property
    def active_exits(self) -> tuple[int, ...]:
        """Positions (from 0) of the exits that exist, in order."""
        return tuple(position for position, branch in enumerate(self.exits) if branch is not None)


def content_key(content: object) -> str:
    """Return a 12-digit hexadecimal key of any JSON-serialisable value, independent of dictionary order."""
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


@lru_cache(maxsize=4096)
def _architecture_key(architecture: Architecture) -> str:
    form = asdict(architecture)
    for block in (block for stage in form["stages"] for block in stage["blocks"]):
        if block["kind"] == "inverted_residual":
            del block["kind"]
    for branch in form["exits"]:
        if branch is not None and branch["pooling"] is None:
            del branch["pooling"]
    return content_key(form)


def skeleton_form(skeleton: Skeleton) -> dict[str, object]:
    """Return the fields of a skeleton for a hash, without a given backbone where there is none."""
    form = asdict(skeleton)
    if skeleton.given is None:
        del form["given"]
    return form
