"""BatchNorm over several processes; those that share a batch are in `supernet/test_supernet_processes.py`."""

from collections.abc import Iterator

import pytest
import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor, nn

from aebnas_bo.training.synchronized_batch_norm import Synchronized, synchronized_batch_norm


@pytest.fixture
def _group() -> Iterator[None]:
    dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
    yield
    dist.destroy_process_group()


def drawn() -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    features = 3.0 * torch.randn(6, 4, 5, 5, generator=generator) + 100.0  # moments of a mean far from zero
    return features, 1.0 + torch.rand(4, generator=generator), torch.randn(4, generator=generator)


@pytest.mark.usefixtures("_group")
def test_one_process_normalizes_and_learns_as_usual() -> None:
    usual, own = ([one.clone().requires_grad_() for one in drawn()] for _ in range(2))
    expected = F.batch_norm(usual[0], None, None, usual[1], usual[2], training=True, eps=1e-3)
    found = synchronized_batch_norm(*own, eps=1e-3, count=1)
    assert torch.allclose(found, expected, atol=1e-5)
    weights = torch.randn(found.shape, generator=torch.Generator().manual_seed(1))
    for one in (expected, found):
        (one * weights).sum().backward()
    for one, other in zip(usual, own, strict=True):
        assert one.grad is not None
        assert other.grad is not None
        assert torch.allclose(other.grad, one.grad, rtol=1e-4, atol=1e-4)


@pytest.mark.usefixtures("_group")
def test_half_precision_and_memory_format_are_kept() -> None:
    features, scale, shift = drawn()
    half = features.bfloat16().to(memory_format=torch.channels_last).requires_grad_()
    found = synchronized_batch_norm(half, scale, shift, eps=1e-5, count=1)
    assert found.dtype == torch.bfloat16
    assert found.is_contiguous(memory_format=torch.channels_last)
    found.float().square().sum().backward()
    assert half.grad is not None
    assert half.grad.dtype == torch.bfloat16


@pytest.mark.usefixtures("_group")
def test_every_batch_norm_of_a_module_in_training_is_synchronized(monkeypatch) -> None:
    calls = []
    monkeypatch.setattr(dist, "all_gather", lambda gathered, own: calls.append(gathered[0].copy_(own)))
    module = nn.Sequential(nn.Conv2d(4, 3, 1), nn.BatchNorm2d(3), nn.ReLU(), nn.BatchNorm2d(3, affine=False))
    features, *_ = drawn()
    expected = module(features)
    assert calls == []
    assert torch.allclose(Synchronized(module, 1)(features), expected, atol=1e-4)
    assert len(calls) == 2
    module.eval()
    Synchronized(module, 1)(features)
    assert len(calls) == 2
