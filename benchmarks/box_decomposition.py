"""Time of the box decompositions of one proposal with three objectives: ours and BoTorch's, measured in one run.

    python -m benchmarks.box_decomposition > FILE

One decomposition for each of 64 draws of a front, one thread. Compare ratios and medians, not single times.
"""

from __future__ import annotations

import platform
import sys
from functools import partial

import torch
from botorch.utils.multi_objective.box_decompositions.non_dominated import FastNondominatedPartitioning
from torch import Tensor

from aebnas_bo.execution.cpu import set_up_cpu
from benchmarks.timing import median_seconds
from surrogates.box_decomposition import SweptBoxes

REPEATS = 3
DRAWS = 64
REFERENCE = torch.zeros(3, dtype=torch.float64)


def main() -> None:
    """Print one row per size of the front."""
    set_up_cpu(1)
    generator = torch.Generator().manual_seed(0)
    sys.stdout.write(f"torch {torch.__version__}, Python {platform.python_version()}, {platform.machine()}, 1 thread\n")
    sys.stdout.write("points  botorch_s  ours_s  ratio  boxes_botorch  boxes_ours\n")
    for n in (16, 32, 64):
        fronts = torch.rand(DRAWS, n, 3, generator=generator, dtype=torch.float64) + 0.1
        fronts = fronts / fronts.norm(dim=-1, keepdim=True)  # no point on a sphere dominates another
        seconds = [
            median_seconds(partial(_decompose, kind, fronts), REPEATS)
            for kind in (FastNondominatedPartitioning, SweptBoxes)
        ]
        boxes = [
            kind(ref_point=REFERENCE, Y=fronts[0]).get_hypercell_bounds().shape[1]
            for kind in (FastNondominatedPartitioning, SweptBoxes)
        ]
        ratio = seconds[0] / seconds[1]
        sys.stdout.write(
            f"{n:6d}  {seconds[0]:9.3f}  {seconds[1]:6.4f}  {ratio:5.0f}  {boxes[0]:13d}  {boxes[1]:10d}\n"
        )


def _decompose(kind: type[FastNondominatedPartitioning] | type[SweptBoxes], fronts: Tensor) -> None:
    for front in fronts:
        kind(ref_point=REFERENCE, Y=front).get_hypercell_bounds()


if __name__ == "__main__":
    main()
