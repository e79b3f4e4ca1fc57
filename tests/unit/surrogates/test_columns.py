import pytest
import torch

from surrogates.columns import Column, ColumnLayout
from surrogates.errors import LayoutError

LAYOUT = ColumnLayout(
    (
        Column("depth", "a", 0, 2, is_discrete=True),
        Column("kind", "a", 0, 2, is_discrete=True, is_ordered=False, parent=0, parent_levels=(1, 2)),
        Column("kernel", "a", 0, 1, is_discrete=True, parent=1, parent_levels=(1,)),
        Column("threshold", "t", 0.0, 1.0, is_discrete=False, inactive_value=1.0, parent=0, parent_levels=(1, 2)),
    )
)


def test_canonical_fixes_inactive_entries_and_rounds() -> None:
    X = torch.tensor([[0.0, 1.0, 1.0, 0.3], [1.4, 1.0, 1.0, 0.3], [1.0, 0.0, 1.0, 0.3]])
    expected = torch.tensor([[0.0, 0.0, 0.0, 1.0], [1.0, 1.0, 1.0, 0.3], [1.0, 0.0, 0.0, 0.3]])
    assert torch.equal(LAYOUT.canonical(X), expected)


def test_canonical_clamps() -> None:
    assert LAYOUT.canonical(torch.tensor([[9.0, -4.0, 0.0, 7.0]]))[0].tolist() == [2.0, 0.0, 0.0, 1.0]


def test_canonical_is_idempotent_and_keeps_batch_shapes() -> None:
    X = LAYOUT.sample(40, torch.Generator().manual_seed(0)).reshape(2, 20, 4)
    assert torch.equal(LAYOUT.canonical(X), X)


def test_activity_follows_chains() -> None:
    X = torch.tensor([[0.0, 1.0, 1.0, 0.3]])
    assert LAYOUT.activity(X)[0].tolist() == [True, False, False, False]


def test_sample_reaches_every_level() -> None:
    X = LAYOUT.sample(500, torch.Generator().manual_seed(0))
    assert set(X[:, 0].tolist()) == {0.0, 1.0, 2.0}


def test_gradient_reaches_active_thresholds_only() -> None:
    X = torch.tensor([[1.0, 0.0, 0.0, 0.5], [0.0, 0.0, 0.0, 0.5]], requires_grad=True)
    LAYOUT.canonical(X)[:, 3].sum().backward()
    assert X.grad is not None
    assert X.grad[:, 3].tolist() == [1.0, 0.0]


def test_wrong_width_is_refused() -> None:
    with pytest.raises(LayoutError, match="4 columns"):
        LAYOUT.canonical(torch.zeros(2, 3))


def test_later_or_continuous_parents_are_refused() -> None:
    with pytest.raises(LayoutError, match="not an earlier discrete column"):
        ColumnLayout((Column("a", "a", 0, 1, is_discrete=True, parent=0),))
    with pytest.raises(LayoutError, match="not an earlier discrete column"):
        ColumnLayout((Column("a", "a", 0, 1, False), Column("b", "b", 0, 1, True, parent=0)))
