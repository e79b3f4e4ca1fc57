import torch

from surrogates.columns import Column, ColumnLayout
from surrogates.models import ArchitectureGP

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
