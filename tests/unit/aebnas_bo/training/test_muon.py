"""Muon: directions of equal length, constant norms, Nesterov momentum."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from aebnas_bo.training.muon import Muon, orthogonal


def _random(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(shape[0]))


def _matrix(rows: int, columns: int, smallest: float) -> Tensor:
    """Return a matrix with singular values from 1 down to the smallest."""
    left, _, right = torch.linalg.svd(_random(rows, columns), full_matrices=False)
    return left @ torch.diag(torch.logspace(0, torch.log10(torch.tensor(smallest)).item(), min(rows, columns))) @ right


@pytest.mark.parametrize(("rows", "columns"), [(6, 40), (40, 6), (24, 24), (1, 9)])
def test_singular_values_become_about_one(rows: int, columns: int) -> None:
    matrix = _matrix(rows, columns, smallest=0.05)
    values = torch.linalg.svdvals(orthogonal(matrix))
    assert values.min() > 0.65
    assert values.max() < 1.25


def test_directions_stay() -> None:
    """The result has the singular vectors of the matrix: it is close to the exact polar factor."""
    matrix = _matrix(12, 30, smallest=0.1)
    left, _, right = torch.linalg.svd(matrix, full_matrices=False)
    difference = orthogonal(matrix) - left @ right
    assert torch.linalg.svdvals(difference).max() < 0.35


def test_scale_does_not_matter() -> None:
    matrix = _random(8, 20)
    torch.testing.assert_close(orthogonal(1e-6 * matrix), orthogonal(1e6 * matrix))


def test_zeros_stay_zeros() -> None:
    assert torch.equal(orthogonal(torch.zeros(4, 7)), torch.zeros(4, 7))


def _stepped(weight: nn.Parameter, *gradients: Tensor, rate: float, momentum: float = 0.0) -> Tensor:
    optimizer = Muon([weight], rate, momentum)
    for gradient in gradients:
        weight.grad = gradient
        optimizer.step()
    return weight.detach()


def test_a_step_keeps_the_norm_that_batchnorm_takes_away() -> None:
    """Without a rate, only the norm changes: 1 per output channel on average."""
    start = _random(8, 4, 3, 3)
    weight = _stepped(nn.Parameter(start.clone()), _random(8, 4, 3, 3), rate=0.0)
    assert weight.norm().item() == pytest.approx(8**0.5, rel=1e-5)
    torch.testing.assert_close(weight / weight.norm(), start / start.norm())


@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
def test_a_step_follows_the_orthogonal_gradient(memory_format: torch.memory_format) -> None:
    start, gradient = _random(8, 4, 3, 3), _random(8, 4, 3, 3).flip(0)
    weight = nn.Parameter(start.clone().contiguous(memory_format=memory_format))
    expected = start * 8**0.5 / start.norm() - 0.1 * orthogonal(gradient.reshape(8, 36)).reshape(8, 4, 3, 3)
    stepped = _stepped(weight, gradient.contiguous(memory_format=memory_format), rate=0.1)
    torch.testing.assert_close(stepped, expected)
    assert stepped.is_contiguous(memory_format=memory_format)


def test_momentum_is_nesterovs() -> None:
    one, two = _random(5, 9), _random(5, 9).flip(1)
    start = nn.Parameter(_random(5, 9))
    before = _stepped(nn.Parameter(start.detach().clone()), one, rate=0.1, momentum=0.5)
    after = _stepped(start, one, two, rate=0.1, momentum=0.5)
    step = orthogonal(two + 0.5 * (two + 0.5 * one))
    torch.testing.assert_close(after, before * 5**0.5 / before.norm() - 0.1 * step)


def test_weights_without_a_gradient_stay() -> None:
    weight = nn.Parameter(_random(3, 3))
    before = weight.detach().clone()
    Muon([weight], 0.1, 0.9).step()
    assert torch.equal(weight, before)


def test_dead_weights_stay_finite() -> None:
    weight = _stepped(nn.Parameter(torch.zeros(3, 4)), torch.zeros(3, 4), rate=0.1)
    assert torch.equal(weight, torch.zeros(3, 4))
