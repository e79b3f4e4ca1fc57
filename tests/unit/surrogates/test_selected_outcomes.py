import torch

from surrogates.columns import Column, ColumnLayout
from surrogates.models import ArchitectureGP
from surrogates.selected_outcomes import BLOCK

LAYOUT = ColumnLayout((Column("depth", "a", 0, 4, True), Column("threshold", "t", 0.0, 1.0, False)))


def test_outcomes_are_those_of_the_model_in_the_order_asked_for() -> None:
    X = LAYOUT.sample(12, torch.Generator().manual_seed(1))
    Y = torch.stack([X[:, 0], X[:, 1], X.sum(dim=-1)], dim=-1)
    model = ArchitectureGP(X, Y, LAYOUT)
    view = model.subset_output([2, 0])
    whole, part = model.posterior(X[:3]), view.posterior(X[:3])
    assert (view.num_outputs, view.batch_shape) == (2, model.batch_shape)
    assert torch.equal(part.mean, whole.mean[:, [2, 0]])
    assert torch.equal(part.variance, whole.variance[:, [2, 0]])
    assert part.rsample(torch.Size([4])).shape == (4, 3, 2)
    assert torch.equal(view.subset_output([1]).posterior(X[:3]).mean, whole.mean[:, [0]])
    assert torch.equal(view.posterior(X[:3], output_indices=[0]).mean, whole.mean[:, [2]])


def test_many_rows_have_the_moments_of_few_and_joint_draws() -> None:
    X = LAYOUT.sample(12, torch.Generator().manual_seed(1))
    view = ArchitectureGP(X, torch.stack([X[:, 0], X[:, 1]], dim=-1), LAYOUT).subset_output([1])
    rows = LAYOUT.sample(BLOCK + 9, torch.Generator().manual_seed(2)).requires_grad_()
    many, few = view.posterior(rows), view.posterior(rows[-9:])
    assert many.mean.shape == many.variance.shape == (BLOCK + 9, 1)
    assert torch.allclose(many.mean[-9:], few.mean)
    assert torch.allclose(many.variance[-9:], few.variance)
    assert torch.autograd.grad(many.mean.sum(), rows)[0].abs().sum() > 0
    twice = rows.detach()[:1].repeat(BLOCK + 1, 1)  # the same row over and over: joint draws agree
    draws = view.posterior(twice).rsample(torch.Size([2]))
    assert draws.shape == (2, BLOCK + 1, 1)
    assert torch.allclose(draws, draws[:, :1].expand_as(draws), atol=0.05)
    assert (many.dtype, many.device) == (rows.dtype, rows.device)
