import pytest
import torch
from scipy.stats import yeojohnson

from surrogates.tail_compression import FARTHEST, LARGEST, TailCompression


def with_tail() -> torch.Tensor:
    """Return 60 values between 88 and 93 and eight far below."""
    generator = torch.Generator().manual_seed(0)
    good = 88.0 + 5.0 * torch.rand(60, generator=generator, dtype=torch.float64)
    return torch.cat([good, torch.linspace(45.0, 80.0, 8, dtype=torch.float64)])


@pytest.mark.parametrize("exponent", [1.0, 1.7, 2.0, 3.0])
def test_worse_values_are_scipys_and_better_ones_stay(exponent: float) -> None:
    scaled = torch.linspace(-5.0, 5.0, 11, dtype=torch.float64)
    values = TailCompression(1.0, center=3.0, width=2.0, exponent=exponent)(3.0 + 2.0 * scaled)
    assert torch.allclose(values[:5], torch.from_numpy(yeojohnson(scaled[:5].numpy(), lmbda=exponent)))
    assert torch.allclose(values[5:], scaled[5:])


@pytest.mark.parametrize("sign", [1.0, -1.0])
@pytest.mark.parametrize("exponent", [1.0, 1.7, 2.0, 3.0])
def test_the_inverse_leads_back_and_the_slope_is_the_derivative(sign: float, exponent: float) -> None:
    transform = TailCompression(sign, center=3.0, width=2.0, exponent=exponent)
    values = torch.linspace(-9.0, 9.0, 14, dtype=torch.float64, requires_grad=True)
    transformed = transform(values)
    assert torch.allclose(transform.inverse(transformed), values)
    (gradient,) = torch.autograd.grad(transformed.sum(), values)
    assert torch.allclose(gradient, transform.slope(values))


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_the_worse_tail_is_compressed_and_the_better_one_is_not(sign: float) -> None:
    worse = TailCompression.fit(sign * with_tail(), sign)
    better = TailCompression.fit(sign * with_tail(), -sign)
    assert 1.5 < worse.exponent <= LARGEST
    assert better.exponent == 1.0
    tail, good = worse(sign * torch.tensor([45.0, 80.0])), worse(sign * torch.tensor([88.0, 93.0]))
    assert (tail[1] - tail[0]).abs() < 0.3 * (good[1] - good[0]).abs()


def test_values_out_of_range_lead_back_to_the_farthest_one() -> None:
    transform = TailCompression(1.0, center=3.0, width=2.0, exponent=3.0)
    assert transform.inverse(torch.tensor([-1.5, -1e300])).tolist() == [3.0 - 2.0 * FARTHEST] * 2
    assert TailCompression(1.0, center=0.0, width=1.0, exponent=2.0).inverse(torch.tensor([-800.0])) == -FARTHEST


@pytest.mark.parametrize("values", [[5.0, 5.0, 5.0], [1.0, 2.0], [0.0, 0.0, 0.0, 0.0, 9.0]])
def test_few_different_values_are_only_scaled(values: list[float]) -> None:
    transform = TailCompression.fit(torch.tensor(values, dtype=torch.float64), 1.0)
    assert transform.exponent == 1.0
    assert transform.width > 0.0


def test_rounding_is_not_spread_out() -> None:
    values = 99.95 + 1e-13 * torch.arange(20, dtype=torch.float64)
    transform = TailCompression.fit(values, 1.0)
    assert (transform.width, transform.exponent) == (1.0, 1.0)
