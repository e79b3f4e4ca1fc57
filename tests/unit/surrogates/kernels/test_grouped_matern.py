import math

import pytest
import torch
from gpytorch.test.base_kernel_test_case import BaseKernelTestCase

from surrogates.kernels.grouped_matern import GroupedMaternKernel

GROUPS = ["a", "a", "b"]


def test_one_group_equals_matern_52() -> None:
    from gpytorch.kernels import MaternKernel

    x = torch.randn(6, 3, dtype=torch.float64)
    ours, theirs = GroupedMaternKernel(["a"] * 3).double(), MaternKernel(nu=2.5).double()
    ours.lengthscale, theirs.lengthscale = 0.7, 0.7
    assert torch.allclose(ours(x).to_dense(), theirs(x).to_dense(), atol=1e-10)


def test_groups_share_a_length_scale() -> None:
    kernel = GroupedMaternKernel(GROUPS).double()
    kernel.lengthscale = torch.tensor([[1.0, 1e6]], dtype=torch.float64)
    x = torch.zeros(3, 3, dtype=torch.float64)
    x[1, 2], x[2, 1] = 1.0, 1.0
    covariance = kernel(x).to_dense().detach()
    assert covariance[0, 1] == pytest.approx(1.0, abs=1e-6)  # a move in the long group b changes nothing
    assert covariance[0, 2] < 0.6  # a move in group a does


def test_hand_computed_value() -> None:
    kernel = GroupedMaternKernel(["a"]).double()
    kernel.lengthscale = 2.0
    # r = 1 / 2, sqrt(5) r = 1.1180340: (1 + 1.1180340 + 5/12) exp(-1.1180340)
    value = kernel(torch.zeros(1, 1).double(), torch.ones(1, 1).double()).to_dense().item()
    assert value == pytest.approx(0.8286491424, abs=1e-9)


@pytest.mark.parametrize("groups", [["a"] * 4, ["a", "a", "b", "b"], ["a", "b", "c", "d"]])
def test_length_scales_are_expected_to_grow_with_the_root_of_the_number_of_features(groups) -> None:
    kernel = GroupedMaternKernel(groups).double()
    [(_, _, prior, closure, _)] = kernel.named_priors()
    assert torch.equal(closure(kernel), kernel.lengthscale)
    # Hvarfner et al. (2024): log-normal, median exp(sqrt 2) sqrt(f) = 4.1132504 * 2, log-scale sqrt 3
    median, one_up = torch.tensor([2 * 4.1132503788], dtype=torch.float64), 3**0.5
    quantiles = [prior.cdf(median * factor).item() for factor in (1.0, math.exp(one_up), math.exp(-one_up))]
    assert quantiles == pytest.approx([0.5, 0.8413447, 0.1586553], abs=1e-6)


def test_batches_of_features_are_refused() -> None:
    with pytest.raises(NotImplementedError, match="group"):
        GroupedMaternKernel(GROUPS).forward(torch.zeros(1, 3), torch.zeros(1, 3), last_dim_is_batch=True)


class TestContract(BaseKernelTestCase):
    """GPyTorch's own contract, for as many features as its cases have."""

    def create_kernel_no_ard(self, **kwargs: object) -> GroupedMaternKernel:
        return GroupedMaternKernel(["a"] * 2, batch_shape=kwargs.get("batch_shape"))  # type: ignore[arg-type]

    def test_active_dims_list(self) -> None:
        self._check_active_dims((0, 2, 4, 6))

    def test_active_dims_range(self) -> None:
        self._check_active_dims(tuple(range(3, 9)))

    def _check_active_dims(self, columns: tuple[int, ...]) -> None:
        """GPyTorch's cases make one kernel for 4, 6 and 10 features; this one names a group for each feature."""
        x, groups = self.create_data_no_batch(), ["a", "b"] * (len(columns) // 2)
        chosen = GroupedMaternKernel(groups, active_dims=columns)(x).to_dense()
        assert torch.allclose(chosen, GroupedMaternKernel(groups)(x[:, columns]).to_dense())
        assert not torch.allclose(chosen, GroupedMaternKernel(groups)(x[:, : len(columns)]).to_dense())
