r"""Sum of a Matern-5/2 kernel of all features and one of each group of features.

With `G` groups of features, their squared distances :math:`r_g^2` in units of the group's length-scale and the
Matern-5/2 function `M`

.. math::
    k(x, z) = (1 - a)\, M\Bigl(\sum_{g=1}^{G} r_g^2\Bigr) + \frac{a}{G} \sum_{g=1}^{G} M(r_g^2),

where the share `a` is learned. A product forgets what an observation says about one group as soon as the other groups
differ; the sum keeps it. So effects that add up, as the parts of a cost do, are learned from a few rows.

References:
    D. Duvenaud, H. Nickisch, C. E. Rasmussen. Additive Gaussian Processes. NIPS 2011.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from botorch.utils.constraints import LogTransformedInterval
from gpytorch.constraints import Interval
from torch import Tensor

from surrogates.kernels.grouped_matern import GroupedMaternKernel, matern_of_squared

SHORTEST, LONGEST = 0.05, 1e4  # length-scales
ELEMENTS = 2**20  # of the distances of all groups at once: arrays of 8 MB


class AdditiveMaternKernel(GroupedMaternKernel):
    """Matern-5/2 over all features plus Matern-5/2 over each group, with the same length-scales.

    Args:
        groups: Group name of each feature, `f` entries.
        batch_shape: Batch shape of independent hyper-parameters, one per outcome.
        active_dims: Columns of the input that are the features; all of them by default.

    Example:
        >>> kernel = AdditiveMaternKernel(["stage1", "stage1", "exit1"])
        >>> kernel(torch.rand(4, 3)).shape
        torch.Size([4, 4])
    """

    def __init__(
        self,
        groups: Sequence[str],
        batch_shape: torch.Size | None = None,
        active_dims: tuple[int, ...] | None = None,
    ) -> None:
        super().__init__(groups, batch_shape, active_dims)
        # On the log scale fifty iterations of L-BFGS are enough.
        interval = LogTransformedInterval(SHORTEST, LONGEST, initial_value=math.sqrt(len(groups)))
        self.register_constraint("raw_lengthscale", interval)
        self.register_parameter("raw_share", torch.nn.Parameter(torch.zeros(*self.batch_shape, 1, 1)))
        self.register_constraint("raw_share", Interval(0.0, 1.0))

    @property
    def share(self) -> Tensor:
        """Share of the sum over groups in the variance, `batch_shape x 1 x 1`."""
        share: Tensor = self.raw_share_constraint.transform(self.raw_share)
        return share

    def forward(self, x1: Tensor, x2: Tensor, diag: bool = False, last_dim_is_batch: bool = False) -> Tensor:
        """Return `batch_shape x n1 x n2` covariances, or `batch_shape x n` on the diagonal."""
        if last_dim_is_batch:
            raise NotImplementedError("features of one group cannot be separated into batches")
        if diag:
            return self.of_squared(self._squared_differences(x1, x2).unsqueeze(-1)).squeeze(-1)
        at_once = max(1, ELEMENTS * x1.shape[-2] // max(1, len(self.group_names) * x2.shape[-2] * x1[..., 0].numel()))
        parts = [self.of_squared(self.squared_distances(part, x2)) for part in torch.split(x1, at_once, dim=-2)]
        return parts[0] if len(parts) == 1 else torch.cat(parts, dim=-2)

    def squared_distances(self, x1: Tensor, x2: Tensor) -> Tensor:
        """Return the squared distances within each group, `G x batch_shape x n1 x n2`, not scaled."""
        return torch.stack(
            [
                (
                    one.square().sum(dim=-1).unsqueeze(-1)
                    + other.square().sum(dim=-1).unsqueeze(-2)
                    - 2.0 * one @ other.mT
                ).clamp_min(0.0)
                for one, other in zip(self._by_group(x1), self._by_group(x2), strict=True)
            ]
        )

    def of_squared(self, squared: Tensor) -> Tensor:
        """Return covariances `batch_shape x n1 x n2` for squared distances within groups, `G x ... x n1 x n2`."""
        scale = self.lengthscale.movedim(-1, 0).unsqueeze(-1).square()  # G x batch_shape x 1 x 1
        dims = max(squared.ndim, scale.ndim)
        scaled = _with_dims(squared, dims) / _with_dims(scale, dims)
        together, each = matern_of_squared(scaled.sum(dim=0)), matern_of_squared(scaled)
        return together + self.share * (each.mean(dim=0) - together)

    def _squared_differences(self, x1: Tensor, x2: Tensor) -> Tensor:
        pairs = zip(self._by_group(x1), self._by_group(x2), strict=True)
        return torch.stack([(one - other).square().sum(dim=-1) for one, other in pairs])

    def _by_group(self, x: Tensor) -> list[Tensor]:
        group = self._feature_group.to(x.device)
        return [x[..., group == index] for index in range(len(self.group_names))]


def _with_dims(by_group: Tensor, dims: int) -> Tensor:
    """Return a tensor `G x ...` with so many dimensions, new ones after the first."""
    return by_group.reshape(len(by_group), *(1,) * (dims - by_group.ndim), *by_group.shape[1:])
