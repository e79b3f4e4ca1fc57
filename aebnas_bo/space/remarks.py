"""Remarks on choices that are allowed in a space but have no effect in any network."""

from __future__ import annotations

from aebnas_bo.space.block_and_layer_kinds import LAYER_KINDS
from aebnas_bo.space.extremes import never_saves, sides
from aebnas_bo.space.network_space import NetworkSpace


def remarks(space: NetworkSpace) -> list[str]:
    """Return one sentence per remark, each with the field that it is about and what to change.

    Args:
        space: The space.
    """
    found: list[str] = []
    for number in range(len(space.declaration.stages)):
        found += [*_equal_kernels(space, number), *_single_pixels(space, number), *_idle_fields(space, number)]
    for position in range(len(space.declaration.exits)):
        found += _idle_exit(space, position)
    if not any(max(exit_.depths) > 0 for exit_ in space.declaration.exits):
        found.append("exits: no network has an early exit; every image pays for the whole network")
    return found


def _equal_kernels(space: NetworkSpace, number: int) -> list[str]:
    """Kernels that reach past all edges of the maps compute the same: what is left of them covers the whole map."""
    largest = max(sides(space, resolution)[number] for resolution in space.declaration.resolutions)
    alike = [kernel for kernel in space.declaration.stages[number].kernels if kernel >= 2 * largest - 1]
    if len(alike) < 2:
        return []
    return [
        f"stages.{number}.kernels: {' and '.join(map(str, alike))} compute the same on maps of {_square(largest)} or "
        f"less, which is all this stage reads, and larger ones cost more; keep only {alike[0]} of them"
    ]


def _single_pixels(space: NetworkSpace, number: int) -> list[str]:
    """Blocks that read a single pixel: all of the stage or all but the first, which the stride has not yet halved."""
    stage, kernel = space.declaration.stages[number], min(space.declaration.stages[number].kernels)
    first = 0 if max(stage.depths) == 1 else 1
    small = [r for r in space.declaration.resolutions if sides(space, r)[number + first] == 1]
    if kernel == 1 or not small:
        return []
    which = f"resolution {small[0]}" if len(small) == 1 else f"resolutions {small[0]} to {small[-1]}"
    blocks = "blocks" if sides(space, small[-1])[number] == 1 else "blocks after the first"
    return [
        f"stages.{number}: at {which} its {blocks} read a single pixel, where a kernel of {kernel} sees only padding "
        "around it; give the stem or an earlier stage stride 1, or allow only higher resolutions"
    ]


def _idle_fields(space: NetworkSpace, number: int) -> list[str]:
    stage, found = space.declaration.stages[number], []
    kinds = [LAYER_KINDS[kind] for kind in stage.kinds]
    names = " and ".join(stage.kinds)
    if len(stage.expansions) > 1 and not any(kind.expands for kind in kinds):
        found.append(f"stages.{number}.expansions: without effect, for {names} does not expand; give [1]")
    if number in space.skeleton.squeezed_stages and all(kind.depthwise_channels is None for kind in kinds):
        found.append(
            f"squeeze_excitation: {number + 1} is without effect, for stages.{number} is of {names}, which has no "
            f"depthwise convolution; leave {number + 1} out"
        )
    return found


def _idle_exit(space: NetworkSpace, position: int) -> list[str]:
    exit_ = space.declaration.exits[position]
    if max(exit_.depths) == 0:
        return [f"exits.{position}.depths: 0 alone is no exit; leave the exit out or allow a depth of 1"]
    if not never_saves(space, position):
        return []
    return [
        f"exits.{position}: in every network its cheapest branch costs at least as many MACs as the whole backbone "
        "behind it; allow depth 1 (the classifier alone) or cheaper layers, or place the exit earlier"
    ]


def _square(side: int) -> str:
    return f"{side}x{side} pixel{'s' if side > 1 else ''}"
