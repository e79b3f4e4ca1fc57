import torch

from surrogates.columns import Column, ColumnLayout
from surrogates.features import CanonicalFeatures

LAYOUT = ColumnLayout(
    (
        Column("depth", "exit", 0, 2, is_discrete=True),
        Column("kind", "exit", 0, 1, is_discrete=True, is_ordered=False, parent=0, parent_levels=(1, 2)),
        Column("threshold", "thresholds", 0.0, 1.0, False, inactive_value=1.0, parent=0, parent_levels=(1, 2)),
    )
)  # fmt: skip


def test_features_of_hand_made_rows() -> None:
    features = CanonicalFeatures(LAYOUT)
    rows = torch.tensor([[1.0, 1.0, 0.25], [0.0, 0.0, 1.0]])
    # depth scaled, depth reaches a level that matters, kind is 0, kind is 1, threshold scaled
    assert features.transform(rows).tolist() == [[0.0, 1.0, 0.0, 1.0, -0.5], [-1.0, 0.0, 0.0, 0.0, 0.0]]
    assert features.groups == ["exit", "exit", "exit", "exit", "thresholds"]


def test_switched_off_entries_have_no_influence() -> None:
    features = CanonicalFeatures(LAYOUT)
    rows = torch.tensor([[0.0, 1.0, 0.3], [0.0, 0.0, 0.9]])
    one, other = features.transform(rows)
    assert torch.equal(one, other)
