"""What is known of average MACs before any image was seen: they lie between the first and the last exit's cost."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from aebnas_bo.estimation.macs import MACS_PER_MILLION, exit_costs
from aebnas_bo.space.network_space import NetworkSpace
from aebnas_bo.space.search_space import ChoiceParameter

CACHED_NETWORKS = 100_000  # a pair of floats and a short key each


class AverageMacsRange:
    """Range of average MACs, in millions, at encoded points of a network space; see `surrogates.known_costs`.

    Args:
        space: The space whose `search_space.encode` wrote the rows.
    """

    outcome = "average_macs"

    def __init__(self, space: NetworkSpace) -> None:
        self._space = space
        parameters = space.search_space.parameters
        self._choices = [p for p, parameter in enumerate(parameters) if isinstance(parameter, ChoiceParameter)]
        self._known: dict[tuple[float, ...], tuple[float, float]] = {}

    def __call__(self, X: Tensor) -> Tensor:
        """Return least and greatest average MACs, `n x 2`, of canonical rows, `n x d`."""
        rows = X.detach().cpu().numpy()
        keys = [tuple(row) for row in rows[:, self._choices].tolist()]
        if len(self._known) > CACHED_NETWORKS:
            self._known.clear()
        for key, row in zip(keys, rows, strict=True):
            if key not in self._known:
                self._known[key] = self._range(row)
        return torch.tensor([self._known[key] for key in keys], dtype=X.dtype, device=X.device)

    def _range(self, row: np.ndarray) -> tuple[float, float]:
        architecture = self._space.architecture(self._space.search_space.decode(row))
        costs = exit_costs(architecture, self._space.skeleton).cumulative
        return min(costs) / MACS_PER_MILLION, max(costs) / MACS_PER_MILLION
