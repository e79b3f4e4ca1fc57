"""Model with some of the outcomes of another model; Ax's analyses request such models."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from botorch.acquisition.objective import PosteriorTransform
from botorch.models.model import Model
from botorch.posteriors import Posterior, TransformedPosterior
from torch import Tensor


class SelectedOutcomes(Model):
    """View of some outcomes of a model, without copying the model or its caches.

    Args:
        model: The model, with `m` outcomes.
        positions: Positions of the outcomes, within `0 ... m - 1`.
    """

    def __init__(self, model: Model, positions: Sequence[int]) -> None:
        super().__init__()
        self.model = model
        self._positions = list(positions)

    @property
    def num_outputs(self) -> int:
        """Number of outcomes."""
        return len(self._positions)

    @property
    def batch_shape(self) -> torch.Size:
        """Batch shape of the model."""
        shape: torch.Size = self.model.batch_shape
        return shape

    def subset_output(self, idcs: list[int]) -> SelectedOutcomes:
        """Return a view of some of these outcomes."""
        return SelectedOutcomes(self.model, [self._positions[index] for index in idcs])

    def posterior(
        self,
        X: Tensor,
        output_indices: list[int] | None = None,
        observation_noise: bool | Tensor = False,
        posterior_transform: PosteriorTransform | None = None,
    ) -> Posterior:
        """Return the posterior of these outcomes at rows `batch_shape x n x d`."""
        chosen = self._positions if output_indices is None else [self._positions[index] for index in output_indices]
        posterior: Posterior = TransformedPosterior(
            self.model.posterior(X, observation_noise=observation_noise),
            sample_transform=lambda draws: draws[..., chosen],
            mean_transform=lambda mean, _: mean[..., chosen],
            variance_transform=lambda _, variance: variance[..., chosen],
        )
        return posterior if posterior_transform is None else posterior_transform(posterior)
