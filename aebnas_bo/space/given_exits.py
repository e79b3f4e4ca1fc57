"""Exits that are proposed for a given backbone: the points they follow and the choices of their branches."""

from __future__ import annotations

from collections.abc import Sequence

from aebnas_bo.space.architecture import BranchLayer, ExitBranch
from aebnas_bo.space.block_and_layer_kinds import LayerKind
from aebnas_bo.space.given_backbone import BackbonePoint, GivenBackbone
from aebnas_bo.space.plan import BranchLayerPlan, point_branch_plan

MOST_EXITS = 6
MOST_LAYERS = 2
MOST_SHARE = 0.2  # of the backbone's MACs that the layers of a branch cost
KINDS: tuple[LayerKind, ...] = ("depthwise_separable", "dense")
EXPANSIONS = (1, 2, 4)
STRIDE = 2


def propose_exits(given: GivenBackbone) -> list[dict[str, object]]:
    """Return raw declarations of exits, in order of their points.

    Points are spread over the MACs of the backbone. Branches have up to `MOST_LAYERS` layers of the kinds and widths
    that cost at most `MOST_SHARE` of the backbone.

    Args:
        given: The backbone.
    """
    return [_exit(given, number) for number in spread_points(given)]


def spread_points(given: GivenBackbone) -> list[int]:
    """Return up to `MOST_EXITS` points, counted from 0, spread over the MACs of the backbone."""
    points = given.points
    if len(points) <= MOST_EXITS:
        return list(range(len(points)))
    first, last = points[0].macs, points[-1].macs
    wanted = [first + (last - first) * step / (MOST_EXITS - 1) for step in range(MOST_EXITS)]
    return sorted({min(range(len(points)), key=lambda n: abs(points[n].macs - macs)) for macs in wanted})


def _exit(given: GivenBackbone, number: int) -> dict[str, object]:
    point = given.points[number]
    kernel = 1 if point.layout == "tokens" else 3
    kinds = [kind for kind in KINDS if kernel > 1 or kind == "dense"]
    limit = MOST_SHARE * given.macs

    def fitting(layers: int) -> dict[LayerKind, list[int]]:
        costs = {
            kind: [(one, _macs(point, kind, layers=layers, expansion=one)) for one in EXPANSIONS] for kind in kinds
        }
        return {kind: [one for one, macs in found if macs <= limit] for kind, found in costs.items()}

    num_layers = next((count for count in range(MOST_LAYERS, 0, -1) if any(fitting(count).values())), 0)
    allowed = {kind: expansions for kind, expansions in fitting(num_layers).items() if expansions}
    shared = [one for one in EXPANSIONS if all(one in expansions for expansions in allowed.values())]
    layer = {"kinds": list(allowed), "kernels": [kernel], "expansions": shared}
    return {
        "after_stage": number + 1,
        "depths": list(range(num_layers + 2)),
        "layers": [layer] * num_layers,
        "poolings": list(point.poolings),
    }


def _macs(point: BackbonePoint, kind: LayerKind, *, layers: int, expansion: int) -> int:
    layer = BranchLayer(kind, kernel=1 if point.layout == "tokens" else 3, expansion=expansion, pool=False, upsample=0)
    plan = point_branch_plan(ExitBranch((layer,) * layers), point, stride=STRIDE)
    return _sum_of(plan.layers)


def _sum_of(layers: Sequence[BranchLayerPlan]) -> int:
    return sum(convolution.macs for layer in layers for convolution in layer.convolutions)
