r"""Matern-5/2 kernel whose length-scales are shared within groups of features.

With `G` groups of features and per-group squared distances

.. math::
    r^2(x, z) = \sum_{g=1}^{G} \frac{\lVert x_g - z_g \rVert^2}{\ell_g^2}, \qquad
    k(x, z) = \left(1 + \sqrt5 r + \tfrac53 r^2\right) e^{-\sqrt5 r}.

A stage or an exit has one length-scale instead of one per column, so that a few dozen observations suffice to learn
the length-scales in spaces of 80 and more columns.

References:
    C. E. Rasmussen and C. K. I. Williams. Gaussian Processes for Machine Learning. MIT Press, 2006, eq. 4.17.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from gpytorch.constraints import GreaterThan
from gpytorch.kernels import Kernel
from gpytorch.priors import LogNormalPrior
from torch import Tensor

# Location and scale of the dimension-scaled log-normal prior of Hvarfner, Hellsten, Nardi (ICML 2024), section 4.2.
PRIOR_LOC = math.sqrt(2.0)
PRIOR_SCALE = math.sqrt(3.0)
SMALLEST_SQUARED = 1e-20  # squared distance below which the root has no useful derivative


class GroupedMaternKernel(Kernel):
    """Matern-5/2 over `f` features in `G` groups, one length-scale per group.

    Args:
        groups: Group name of each feature, `f` entries.
        batch_shape: Batch shape of the length-scales, one batch per outcome.
        active_dims: Columns of the input that are features; by default, all columns.

    Example:
        >>> kernel = GroupedMaternKernel(["stage1", "stage1", "exit1"])
        >>> kernel(torch.rand(4, 3)).shape
        torch.Size([4, 4])
    """

    has_lengthscale = True

    def __init__(
        self,
        groups: Sequence[str],
        batch_shape: torch.Size | None = None,
        active_dims: tuple[int, ...] | None = None,
    ) -> None:
        self.group_names = tuple(dict.fromkeys(groups))
        super().__init__(
            ard_num_dims=len(self.group_names),
            batch_shape=batch_shape or torch.Size(),
            active_dims=active_dims,
            lengthscale_prior=LogNormalPrior(PRIOR_LOC + 0.5 * math.log(len(groups)), PRIOR_SCALE),
            lengthscale_constraint=GreaterThan(0.05, transform=None, initial_value=math.sqrt(len(groups))),
        )
        self.ard_num_dims = len(groups)  # inputs still have f features; only the number of length-scales is smaller
        # Not a buffer, because GPyTorch expands buffers to the batch shape when a kernel is indexed.
        self._feature_group = torch.tensor([self.group_names.index(group) for group in groups])

    def forward(self, x1: Tensor, x2: Tensor, diag: bool = False, last_dim_is_batch: bool = False) -> Tensor:
        """Return `batch_shape x n1 x n2` covariances, or `batch_shape x n` on the diagonal."""
        if last_dim_is_batch:
            raise NotImplementedError("features of one group cannot be split into batches")
        group = self._feature_group.to(x1.device)
        lengthscale = self.lengthscale.index_select(-1, group)  # batch_shape x 1 x f
        return _matern(math.sqrt(5.0) * self.covar_dist(x1 / lengthscale, x2 / lengthscale, diag=diag))


def matern_of_squared(squared: Tensor) -> Tensor:
    """Return Matern-5/2 covariances of squared distances in units of the length-scale, differentiable at 0."""
    distance = (5.0 * squared).clamp_min(SMALLEST_SQUARED).sqrt()
    return (1.0 + distance + distance.square() / 3.0) * (-distance).exp()


def _matern(distance: Tensor) -> Tensor:
    """Return Matern-5/2 covariances; `distance` is the distance in units of the length-scale, times `sqrt(5)`.

    In-place operations save memory: at thousands of rows, one term takes 32 MB and more. They overwrite only tensors
    that no gradient needs.
    """
    polynomial = (1.0 + distance).add_(distance.square().div_(3.0))
    return polynomial * (-distance).exp_()
