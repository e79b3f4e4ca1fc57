import pytest
import torch
from gpytorch.test.base_kernel_test_case import BaseKernelTestCase

from surrogates.kernels import additive_matern
from surrogates.kernels.additive_matern import AdditiveMaternKernel
from surrogates.kernels.grouped_matern import GroupedMaternKernel

GROUPS = ["a", "a", "b"]


def make(share: float, lengthscale: tuple[float, float] = (0.8, 1.7)) -> AdditiveMaternKernel:
    kernel = AdditiveMaternKernel(GROUPS).double()
    kernel.lengthscale = torch.tensor([lengthscale], dtype=torch.float64)
    kernel.raw_share.data.fill_(torch.tensor(share, dtype=torch.float64).logit())
    return kernel


def rows(n: int, seed: int = 0) -> torch.Tensor:
    return torch.rand(n, 3, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_without_the_sum_it_is_the_kernel_of_all_features() -> None:
    product = GroupedMaternKernel(GROUPS).double()
    product.lengthscale = make(0.0).lengthscale
    assert torch.allclose(make(0.0)(rows(5), rows(4, 1)).to_dense(), product(rows(5), rows(4, 1)).to_dense())


def test_without_the_product_it_is_the_mean_of_the_groups_kernels() -> None:
    first, second = GroupedMaternKernel(["a", "a"]).double(), GroupedMaternKernel(["b"]).double()
    first.lengthscale, second.lengthscale = 0.8, 1.7
    x, z = rows(5), rows(4, 1)
    expected = (first(x[:, :2], z[:, :2]).to_dense() + second(x[:, 2:], z[:, 2:]).to_dense()) / 2.0
    assert torch.allclose(make(1.0)(x, z).to_dense(), expected)


def test_a_row_that_differs_in_one_group_says_something_about_the_other() -> None:
    x = torch.tensor([[0.0, 0.0, 0.0], [0.0, 0.0, 9.0]], dtype=torch.float64)
    assert make(0.5, (0.1, 0.1))(x).to_dense()[0, 1].item() == pytest.approx(0.25)
    assert make(0.0, (0.1, 0.1))(x).to_dense()[0, 1].item() == pytest.approx(0.0)


def test_the_diagonal_is_that_of_the_matrix() -> None:
    kernel, x, z = make(0.3), rows(4), rows(4, 1)
    assert torch.allclose(kernel(x, z, diag=True), kernel(x, z).to_dense().diagonal())


def test_many_rows_are_computed_in_parts_of_equal_value(monkeypatch) -> None:
    kernel, x, z = make(0.3), rows(7), rows(5, 1)
    whole, sizes, of_squared = kernel(x, z).to_dense(), [], kernel.of_squared
    monkeypatch.setattr(additive_matern, "ELEMENTS", 30)  # two groups, three rows, five others
    monkeypatch.setattr(kernel, "of_squared", lambda squared: sizes.append(squared.shape[-2]) or of_squared(squared))
    assert torch.equal(kernel.forward(x, z), whole)
    assert sizes == [3, 3, 1]


def test_every_outcome_has_its_own_length_scales_whatever_the_batch_of_inputs() -> None:
    kernel = AdditiveMaternKernel(GROUPS, torch.Size([2])).double()
    kernel.lengthscale = torch.tensor([[[0.8, 1.7]], [[0.3, 2.0]]], dtype=torch.float64)
    x, z = torch.stack([rows(5), rows(5, 2), rows(5, 3)]), rows(4, 1)
    found = kernel.forward(x.unsqueeze(1), z)  # 3 x 1 x 5 x 3: BoTorch's shape for several outcomes
    assert found.shape == (3, 2, 5, 4)
    second = make(0.5, (0.3, 2.0))
    assert torch.allclose(found[2, 1], second(x[2], z).to_dense())


def test_equal_rows_have_a_gradient() -> None:
    x = rows(3).requires_grad_()
    make(0.5)(x).to_dense().sum().backward()
    assert torch.isfinite(x.grad).all()


def test_batches_of_features_are_refused() -> None:
    with pytest.raises(NotImplementedError, match="group"):
        AdditiveMaternKernel(GROUPS).forward(torch.zeros(1, 3), torch.zeros(1, 3), last_dim_is_batch=True)


class TestContract(BaseKernelTestCase):
    """GPyTorch's own contract, for as many features as its cases have."""

    def create_kernel_no_ard(self, **kwargs: object) -> AdditiveMaternKernel:
        return AdditiveMaternKernel(["a"] * 2, batch_shape=kwargs.get("batch_shape"))  # type: ignore[arg-type]

    def test_active_dims_list(self) -> None:
        self._check_active_dims((0, 2, 4, 6))

    def test_active_dims_range(self) -> None:
        self._check_active_dims(tuple(range(3, 9)))

    def _check_active_dims(self, columns: tuple[int, ...]) -> None:
        """GPyTorch's cases make one kernel for 4, 6 and 10 features; this one names a group for each feature."""
        x, groups = self.create_data_no_batch(), ["a", "b"] * (len(columns) // 2)
        chosen = AdditiveMaternKernel(groups, active_dims=columns)(x).to_dense()
        assert torch.allclose(chosen, AdditiveMaternKernel(groups)(x[:, columns]).to_dense())
        assert not torch.allclose(chosen, AdditiveMaternKernel(groups)(x[:, : len(columns)]).to_dense())
