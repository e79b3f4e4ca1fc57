"""The plain network of any width: a depthwise separable CNN as a practitioner writes it by hand.

A stem of `w` channels (of stride 2 for images of more than 40 pixels), then depthwise separable 3x3 blocks of 2w, 2w,
4w, 4w and 8w channels, each first block of a width with a stride of 2, hard-swish, and a linear classifier. As in every
network of this package, a block adds its input to its output wherever both have the same shape.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import log

from aebnas_bo.space.architecture import Activation, Architecture, Block, BranchLayer, ExitBranch, Skeleton, Stage
from aebnas_bo.space.macs import exit_costs

EARLY_STRIDE_FROM = 41  # pixels; the stem halves larger images
DEPTHS = (2, 2, 1)  # blocks of each stage
NUM_STAGES = len(DEPTHS)
EXIT_STAGE = 0  # half depth: behind the stem and two blocks, with three blocks to go
ACTIVATION: Activation = "hardswish"
WIDEST = 4096  # channels of the stem of the largest network that is considered
# Half the channels of the first stage: from the first number on the plain networks of a search space may be deep, below
# the second one they may be shallow (docs/spaces.md).
DEEP_FROM, SHALLOW_BELOW = 12.0, 15.0


def stem_stride(resolution: int) -> int:
    """Return the stride of the stem for images of a side in pixels."""
    return 2 if resolution >= EARLY_STRIDE_FROM else 1


def plain_depths(num_stages: int, *, is_deep: bool) -> tuple[int, ...]:
    """Return the number of blocks of each stage of a plain network: two, and one in the last.

    Of more than three stages, the last has one block, and so has the one before it: the maps of a fourth stage are
    small, so that it costs few MACs although it has most of the weights. A deep network has one block more in every
    stage but the first and this last one.

    Args:
        num_stages: Number of stages.
        is_deep: Whether the network is deep.
    """
    num_small = int(num_stages > NUM_STAGES)
    depths = [2] * (num_stages - num_small - 1) + [1]
    return (*(depth + int(is_deep and number > 0) for number, depth in enumerate(depths)), *[1] * num_small)


def plain_stages(
    widths: Sequence[int], kernels: Sequence[int] | None = None, *, depths: Sequence[int] | None = None
) -> tuple[Stage, ...]:
    """Return the stages of a plain network, of depthwise separable blocks.

    Args:
        widths: Channels of each stage.
        kernels: Kernel size of each stage; `None` for 3x3 in all.
        depths: Number of blocks of each stage; `None` for `plain_depths`.
    """
    sizes = (3,) * len(widths) if kernels is None else kernels
    counts = plain_depths(len(widths), is_deep=False) if depths is None else depths
    return tuple(
        Stage(width, (Block(kernel, 1, "depthwise_separable"),) * depth)
        for width, kernel, depth in zip(widths, sizes, counts, strict=True)
    )


def plain_network(
    width: int,
    *,
    image_size: int,
    in_channels: int,
    num_classes: int,
    has_exit: bool = False,
    depths: Sequence[int] = DEPTHS,
) -> tuple[Architecture, Skeleton]:
    """Return the plain network of a width.

    Args:
        width: Channels of the stem, `w`; at least 1.
        image_size: Side of the images in pixels.
        in_channels: Channels of an image.
        num_classes: Number of classes, `K`.
        has_exit: Whether it has one exit at half depth: a depthwise separable block of stride 2 that doubles the
            channels, then a classifier.
        depths: Number of blocks of each stage.
    """
    skeleton = Skeleton(
        in_channels=in_channels,
        num_classes=num_classes,
        stem_channels=None,  # half of the first stage's: w
        stem_stride=stem_stride(image_size),
        stage_strides=(2,) * len(depths),
        exit_stages=(EXIT_STAGE,) if has_exit else (),
        branch_stride=2,
        head_channels=0,
        activation=ACTIVATION,
    )
    layer = BranchLayer("depthwise_separable", kernel=3, expansion=2, pool=False, upsample=0)
    exits = (ExitBranch((layer,)),) if has_exit else ()
    widths = [width * 2 ** (number + 1) for number in range(len(depths))]
    return Architecture(image_size, plain_stages(widths, depths=depths), exits), skeleton


def plain_network_of(
    macs: float,
    *,
    image_size: int,
    in_channels: int,
    num_classes: int,
    has_exit: bool = False,
    depths: Sequence[int] = DEPTHS,
) -> tuple[Architecture, Skeleton]:
    """Return the plain network whose MACs, up to the final classifier, are nearest to a number by their ratio.

    Args:
        macs: MACs (not millions), more than 0.
        image_size: Side of the images in pixels.
        in_channels: Channels of an image.
        num_classes: Number of classes, `K`.
        has_exit: Whether the network has an exit, as for `plain_network`.
        depths: Number of blocks of each stage, as for `plain_network`.
    """

    def network(width: int) -> tuple[Architecture, Skeleton]:
        return plain_network(
            width,
            image_size=image_size,
            in_channels=in_channels,
            num_classes=num_classes,
            has_exit=has_exit,
            depths=depths,
        )

    return network(_nearest_width(macs, lambda width: exit_costs(*network(width)).cumulative[-1]))


def plain_width(architecture: Architecture) -> int:
    """Return the width of a plain network, the channels of its stem."""
    return architecture.stages[0].width // 2


def plain_depths_of(architecture: Architecture) -> tuple[int, ...]:
    """Return the number of blocks of each stage of a plain network."""
    return tuple(len(stage.blocks) for stage in architecture.stages)


def plain_name(architecture: Architecture) -> str:
    """Describe a plain network: its width and, for a teacher, the blocks of each stage and its resolution."""
    depths = plain_depths_of(architecture)
    is_teacher = depths != DEPTHS
    further = f" with {'+'.join(map(str, depths))} blocks at {architecture.resolution} pixels" if is_teacher else ""
    return f"plain network of width {plain_width(architecture)}{further}"


def _nearest_width(macs: float, macs_of: Callable[[int], int]) -> int:
    """Return the width whose MACs are nearest by their ratio, by bisection; of two as near, the smaller."""
    low, high = 1, WIDEST
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if macs_of(middle) <= macs else (low, middle)
    return min((low, high), key=lambda width: (abs(log(macs_of(width) / macs)), width))
