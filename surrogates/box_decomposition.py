"""Box decomposition of the non-dominated space of three objectives.

The algorithm inserts the points by descending third objective. At each height, the non-dominated region of the first
two objectives lies above a staircase of vertical strips, each with a floor. Inserting a point raises the floors of
strips to its left; their previous extent is stored as boxes. `n` points give at most `2 n + 1` boxes after `n`
insertions into sorted lists. BoTorch's decomposition for any number of objectives takes dozens of tensor operations per
point.

Legend: `n` points, `K` boxes.

References:
    K. Yang, M. Emmerich, A. Deutz, T. Bäck. Efficient Computation of Expected Hypervolume Improvement Using Box
    Decomposition Algorithms. Journal of Global Optimization 75, 2019.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right

import torch
from torch import Tensor, nn

Corner = tuple[float, float, float]


class SweptBoxes(nn.Module):
    """Box decomposition with the interface of BoTorch's partitionings; all objectives are maximised.

    Args:
        ref_point: Reference point, `3`.
        Y: Points, `n x 3`; they may be dominated or not better than the reference point.
    """

    def __init__(self, ref_point: Tensor, Y: Tensor) -> None:
        super().__init__()
        self._bounds: Tensor
        corners = non_dominated_boxes(Y.tolist(), ref_point.tolist())
        self.register_buffer("_bounds", torch.tensor(corners, dtype=Y.dtype).transpose(0, 1))

    def get_hypercell_bounds(self) -> Tensor:
        """Return lower and upper corners, `2 x K x 3`; corners of unbounded boxes are infinite."""
        return self._bounds


def non_dominated_boxes(points: list[list[float]], reference: list[float]) -> list[tuple[Corner, Corner]]:
    """Return disjoint boxes (lower and upper corner) that cover the non-dominated region above a reference point."""
    (left, bottom, low), end = reference, math.inf
    boxes: list[tuple[Corner, Corner]] = []
    # Strips from left to right: left side, negative floor (ascending), and the height below which the floor holds.
    lefts, depths, tops = [left], [-bottom], [end]

    def close(strip: int, right: float, height: float) -> None:
        if height < tops[strip]:
            boxes.append(((lefts[strip], -depths[strip], height), (right, end, tops[strip])))

    for x, y, z in sorted(points, key=lambda point: -point[2]):
        first, behind = bisect_right(depths, -y), bisect_left(lefts, x)  # first with floor < y; first with left >= x
        if x <= left or y <= bottom or z <= low or first >= behind:
            continue
        following = lefts[behind] if behind < len(lefts) else end
        for strip in range(first, behind):
            close(strip, lefts[strip + 1] if strip + 1 < behind else min(following, x), z)
        begin, rest = lefts[first], ([x], [depths[behind - 1]], [tops[behind - 1]]) if x < following else ([], [], [])
        lefts[first:behind] = [begin, *rest[0]]
        depths[first:behind] = [-y, *rest[1]]
        tops[first:behind] = [z, *rest[2]]
    for strip in range(len(lefts)):
        close(strip, lefts[strip + 1] if strip + 1 < len(lefts) else end, low)
    return boxes
