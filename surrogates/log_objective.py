"""Objectives of which some compare ratios of outcomes instead of differences."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from botorch.acquisition.multi_objective.objective import MCMultiOutputObjective
from torch import Tensor


class LogObjective(MCMultiOutputObjective):
    """Objectives of the logarithms of some outcomes.

    Args:
        objective: Turns outcomes into `m` objectives, each plus or minus the outcome at its position.
        smallest: Positions of the outcomes on the log scale, each with the positive value that stands for all smaller
            ones.
    """

    def __init__(self, objective: MCMultiOutputObjective, smallest: Mapping[int, float]) -> None:
        super().__init__()
        self._objective, self._smallest = objective, dict(smallest)

    def forward(self, samples: Tensor, X: Tensor | None = None) -> Tensor:
        """Return the objectives of outcome draws, `S x batch_shape x q x m`."""
        columns = list(samples.unbind(dim=-1))
        for position, least in self._smallest.items():
            columns[position] = columns[position].clamp_min(least).log()
        values: Tensor = self._objective(torch.stack(columns, dim=-1), X=X)
        return values

    def reference(self, ref_point: Tensor) -> Tensor:
        """Return a reference point, `m`, of the given objective in units of this one."""
        point = ref_point.clone()
        for position in self._smallest:
            point[position] = ref_point[position].sign() * ref_point[position].abs().log()
        return point
