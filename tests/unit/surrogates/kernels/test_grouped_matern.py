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


def test_batches_of_features_are_refused() -> None:
    with pytest.raises(NotImplementedError, match="group"):
        GroupedMaternKernel(GROUPS).forward(torch.zeros(1, 3), torch.zeros(1, 3), last_dim_is_batch=True)


class TestContract(BaseKernelTestCase):
    """GPyTorch's own contract, for as many features as its cases have."""

    def create_kernel_no_ard(self, **kwargs: object) -> GroupedMaternKernel:
        return GroupedMaternKernel(["a"] * 2, batch_shape=kwargs.get("batch_shape"))  # type: ignore[arg-type]

    def test_active_dims_list(self) -> None:
        pytest.skip("the kernel names a group for every feature and takes no active_dims")

    test_active_dims_range = test_active_dims_list
    test_no_batch_kernel_double_batch_x_no_ard = test_active_dims_list
    test_smoke_double_batch_kernel_double_batch_x_no_ard = test_active_dims_list
