import pytest
import torch
from botorch.posteriors import GPyTorchPosterior

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
    model = ArchitectureGP(X, torch.stack([X[:, 0], X[:, 1]], dim=-1), LAYOUT)
    rows = LAYOUT.sample(BLOCK + 9, torch.Generator().manual_seed(2)).requires_grad_()
    for positions in ([1], [1, 0]):
        view = model.subset_output(positions)
        many, few = view.posterior(rows), view.posterior(rows[-9:])
        assert many.mean.shape == many.variance.shape == (BLOCK + 9, len(positions))
        assert torch.allclose(many.mean[-9:], few.mean)
        assert torch.allclose(many.variance[-9:], few.variance)
        assert torch.autograd.grad(many.mean.sum(), rows)[0].abs().sum() > 0
        assert isinstance(many, GPyTorchPosterior)  # the class that Ax's sensitivities accept
        assert (many.dtype, many.device) == (rows.dtype, rows.device)
    twice = view.posterior(rows.detach()[:1].repeat(BLOCK + 1, 1))  # joint draws at equal rows are equal
    draws = twice.rsample(torch.Size([2]))
    assert draws.shape == (2, BLOCK + 1, 2)
    assert (draws - draws[:, :1]).abs().max() < 0.1 * twice.variance.sqrt().min()
    with pytest.raises(NotImplementedError, match="use rsample for more"):
        twice.rsample_from_base_samples(torch.Size([1]), torch.zeros(1, BLOCK + 1, 2))
