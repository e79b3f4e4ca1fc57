"""Some outcomes of a surrogate as a model of their own, as Ax's analyses ask for them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from botorch.acquisition.objective import PosteriorTransform
from botorch.models.model import Model
from botorch.posteriors import GPyTorchPosterior, Posterior, TransformedPosterior
from gpytorch.distributions import MultitaskMultivariateNormal, MultivariateNormal
from linear_operator.operators import DiagLinearOperator
from torch import Tensor

BLOCK = 256  # rows predicted together; Ax's analyses ask for 4096, whose joint covariance takes seconds


class SelectedOutcomes(Model):
    """View of some outcomes of a model; it shares the model and its caches.

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

        def posterior_of(rows: Tensor) -> Posterior:
            posterior: Posterior = TransformedPosterior(
                self.model.posterior(rows, observation_noise=observation_noise),
                sample_transform=lambda draws: draws[..., chosen],
                mean_transform=lambda mean, _: mean[..., chosen],
                variance_transform=lambda _, variance: variance[..., chosen],
            )
            return posterior

        is_long = X.shape[-2] > BLOCK and not isinstance(observation_noise, Tensor)
        posterior = PosteriorInBlocks(posterior_of, X) if is_long else posterior_of(X)
        return posterior if posterior_transform is None else posterior_transform(posterior)


class PosteriorInBlocks(GPyTorchPosterior):
    """Posterior at many rows: means and variances are computed in blocks, only draws need the joint covariance.

    It is a `GPyTorchPosterior`, of normal values with these means and variances, because Ax's sensitivities accept no
    other class.

    Args:
        posterior_of: Returns the posterior at rows `batch_shape x n x d`.
        X: Rows, `batch_shape x n x d`.
    """

    def __init__(self, posterior_of: Callable[[Tensor], Posterior], X: Tensor) -> None:
        self._posterior_of = posterior_of
        self._X = X
        blocks = [posterior_of(rows) for rows in torch.split(X, BLOCK, dim=-2)]
        mean = torch.cat([block.mean for block in blocks], dim=-2)
        variance = torch.cat([block.variance for block in blocks], dim=-2)
        normals = [
            MultivariateNormal(mean[..., column], DiagLinearOperator(variance[..., column]))
            for column in range(mean.shape[-1])
        ]
        is_single = len(normals) == 1
        super().__init__(normals[0] if is_single else MultitaskMultivariateNormal.from_independent_mvns(normals))

    def rsample(self, sample_shape: torch.Size | None = None) -> Tensor:
        """Return joint draws, `sample_shape x batch_shape x n x m`."""
        draws: Tensor = self._posterior_of(self._X).rsample(sample_shape)
        return draws

    def rsample_from_base_samples(self, sample_shape: torch.Size, base_samples: Tensor) -> Tensor:
        """Refuse: base samples are of independent rows here."""
        raise NotImplementedError(f"draws from base samples need at most {BLOCK} rows; use rsample for more")
