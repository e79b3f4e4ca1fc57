"""Objectives on the logarithmic scale, which compare ratios of outcomes instead of differences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from botorch.acquisition.multi_objective.objective import MCMultiOutputObjective
from torch import Tensor


class LogObjective(MCMultiOutputObjective):
    """Objectives that use the logarithms of some outcomes.

    Args:
        objective: Maps outcomes to `m` objectives, each equal to one outcome or its negative.
        smallest: Positive lower clamp of each outcome on the log scale, by the position of the outcome.
        outcomes: Position of the outcome of each objective, `m`.
    """

    def __init__(
        self, objective: MCMultiOutputObjective, smallest: Mapping[int, float], outcomes: Sequence[int]
    ) -> None:
        super().__init__()
        self._objective, self._smallest, self._outcomes = objective, dict(smallest), tuple(outcomes)

    def forward(self, samples: Tensor, X: Tensor | None = None) -> Tensor:
        """Return the objectives of outcome samples, `S x batch_shape x q x m`."""
        columns = list(samples.unbind(dim=-1))
        for position, least in self._smallest.items():
            columns[position] = columns[position].clamp_min(least).log()
        values: Tensor = self._objective(torch.stack(columns, dim=-1), X=X)
        return values

    def reference(self, ref_point: Tensor) -> Tensor:
        """Convert a reference point, `m`, of the wrapped objective to the units of this one."""
        point = ref_point.clone()
        for position, outcome in enumerate(self._outcomes):
            if outcome in self._smallest:
                point[position] = ref_point[position].sign() * ref_point[position].abs().log()
        return point
