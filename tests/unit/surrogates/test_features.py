import math
from dataclasses import replace

import pytest
import torch

from surrogates.columns import Column, ColumnLayout
from surrogates.errors import LayoutError
from surrogates.features import CanonicalFeatures
from surrogates.known_costs import ExitShares

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


GATED = ColumnLayout(
    (
        Column("width", "stage1", 0, 2, is_discrete=True),
        Column("exit1", "exit1", 0, 1, is_discrete=True),
        Column("threshold1", "threshold1", 0.0, 1.0, False, inactive_value=1.0, parent=1, parent_levels=(1,)),
        Column("kind", "stage2", 0, 1, is_discrete=True, is_ordered=False, gates=(2,)),
        Column("threshold2", "threshold2", 0.0, 1.0, False, gates=(2,)),
        Column("depth", "stage3", 0, 2, is_discrete=True, gates=(2, 4)),
    )
)


class Costs:
    """Leaving costs 2, 2e, and in the end 2 e^(1 + depth)."""

    outcome = "cost"
    thresholds = (2, 4)

    def __call__(self, X: torch.Tensor) -> torch.Tensor:
        logs = torch.stack([torch.zeros_like(X[:, 0]), torch.ones_like(X[:, 0]), 1.0 + X[:, 5]], dim=-1)
        return 2.0 * logs.exp()


def test_features_behind_gates_count_as_far_as_these_are_open() -> None:
    features = CanonicalFeatures(GATED)
    rows = torch.tensor(
        [[2.0, 1.0, 0.5, 1.0, 0.5, 2.0], [2.0, 1.0, 0.0, 1.0, 0.5, 2.0], [2.0, 0.0, 0.0, 1.0, 0.5, 2.0]]
    )
    half, shut, without = features.transform(rows).tolist()
    assert half == [1.0, 1.0, 0.0, 0.0, 0.5, 0.0, 0.25]
    assert shut == [1.0, 1.0, -1.0, 0.0, 0.0, 0.0, 0.0]  # nothing behind a threshold of 0 matters
    assert without == [1.0, -1.0, 0.0, 0.0, 1.0, 0.0, 0.5]  # an exit that is not there stops nobody


def test_costs_behind_shut_gates_do_not_matter() -> None:
    features = CanonicalFeatures(GATED, [Costs()])
    rows = torch.tensor([[2.0, 1.0, 0.0, 1.0, 0.5, 2.0], [2.0, 1.0, 0.0, 0.0, 0.1, 0.0]])
    one, other = features.transform(rows)
    compared = len(features.groups)
    assert torch.equal(one[:compared], other[:compared])
    assert one[compared:].tolist() != other[compared:].tolist()  # what turns shares into costs


def test_costs_are_those_of_the_shares_that_leave() -> None:
    shares = ExitShares(torch.zeros(2, 2, dtype=torch.float64))  # as many go on as the threshold says
    features = CanonicalFeatures(GATED, [Costs()], shares)
    compared = len(features.groups)
    [row] = features.transform(torch.tensor([[2.0, 1.0, 0.5, 0.0, 0.25, 1.0]], dtype=torch.float64)).tolist()
    least, greatest = 2.0, 2.0 * math.exp(2.0)
    expected = 0.5 * 2.0 + 0.5 * (0.75 * 2.0 * math.e + 0.25 * greatest)
    assert row[compared - 3 : compared] == pytest.approx([math.log(2.0), math.log(expected), 2.0 * 0.5 * 0.25])
    assert row[compared : compared + 2] == pytest.approx([least, greatest - least])
    share = (expected - least) / (greatest - least)
    assert row[compared + 2] == pytest.approx(math.log(share / (1.0 - share)), abs=0.01)  # but for the margin
    [without] = features.transform(torch.tensor([[2.0, 0.0, 1.0, 0.0, 1.0, 1.0]], dtype=torch.float64)).tolist()
    assert without[compared : compared + 2] == pytest.approx([2.0 * math.e, greatest - 2.0 * math.e])


def test_a_gate_must_be_a_share() -> None:
    with pytest.raises(LayoutError, match="stage: column 0 is not continuous within"):
        ColumnLayout((Column("depth", "a", 0, 2, True), Column("stage", "b", 0, 2, True, gates=(0,))))


KINDS = ColumnLayout(
    (
        Column("operation1", "first", 0, 2, is_discrete=True, is_ordered=False, kind="operation"),
        Column("operation2", "second", 0, 2, is_discrete=True, is_ordered=False, kind="operation"),
        Column("width1", "first", 0, 2, is_discrete=True, kind="width"),
        Column("width2", "second", 0, 2, is_discrete=True, kind="width", parent=0, parent_levels=(1, 2)),
        Column("depth", "second", 0, 2, is_discrete=True, kind="depth"),
    )
)


def test_columns_of_a_kind_add_the_sums_of_their_features() -> None:
    features = CanonicalFeatures(KINDS)
    num_own = len(CanonicalFeatures(ColumnLayout(tuple(replace(one, kind="") for one in KINDS.columns))).groups)
    assert features.groups[num_own:] == ["sum over operation"] * 3 + ["sum over width"]  # depth is one of its kind
    rows = torch.tensor([[0.0, 2.0, 2.0, 0.0, 1.0], [1.0, 1.0, 2.0, 2.0, 1.0], [2.0, 1.0, 0.0, 1.0, 1.0]])
    root = math.sqrt(2.0)
    expected = torch.tensor([[1.0, 0.0, 1.0, 1.0], [0.0, 2.0, 0.0, 2.0], [0.0, 1.0, 1.0, -1.0]])
    sums = features.transform(rows)[:, num_own:]
    assert torch.allclose(root * sums, expected)  # a width that is switched off adds 0


def test_known_costs_leave_no_room_for_sums() -> None:
    gated = ColumnLayout(tuple(replace(one, kind="same") if one.is_discrete else one for one in GATED.columns))
    assert CanonicalFeatures(gated, [Costs()]).groups == CanonicalFeatures(GATED, [Costs()]).groups
