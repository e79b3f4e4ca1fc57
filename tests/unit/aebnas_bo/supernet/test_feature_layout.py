import torch

from aebnas_bo.supernet.feature_layout import FeatureLayout


def test_rows_are_split_as_they_were_joined() -> None:
    layout = FeatureLayout(((2, 3, 3), (5, 4)), num_classes=3)
    features, logits = [torch.randn(7, 2, 3, 3), torch.randn(7, 5, 4)], torch.randn(7, 3)
    rows = layout.joined(features, logits)
    assert rows.shape == (7, layout.width) == (7, 18 + 20 + 3)
    again, final = layout.split(rows)
    assert all(one.equal(other) for one, other in zip(features, again, strict=True))
    assert final.equal(logits)


def test_a_space_without_exits_has_rows_of_logits() -> None:
    features, logits = FeatureLayout((), num_classes=3).split(torch.ones(2, 3))
    assert features == []
    assert logits.shape == (2, 3)
