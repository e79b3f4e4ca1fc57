import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from aebnas_bo.search.objectives import Objective, constraint
from aebnas_bo.search.parameter_columns import column_layout, known_outcome
from aebnas_bo.space.search_space import ChoiceParameter, ContinuousParameter, SearchSpace
from surrogates.outcomes import Outcome
from tests.declarations import points_of, search_spaces


@pytest.mark.slow
@given(st.data())
def test_layout_and_space_have_the_same_canonical_form_of_any_row(data: st.DataObject) -> None:
    space = data.draw(search_spaces())
    numbers = st.floats(-20.0, 20.0)  # within the columns' bounds and beyond
    row = data.draw(st.lists(numbers, min_size=len(space.names), max_size=len(space.names)))
    expected = space.encode(space.decode(np.array(row)))
    assert column_layout(space).canonical(torch.tensor([row], dtype=torch.float64))[0].tolist() == expected.tolist()


@given(st.data())
def test_layout_and_space_agree_on_what_is_switched_off(data: st.DataObject) -> None:
    space = data.draw(search_spaces())
    one, other = data.draw(points_of(space)), data.draw(points_of(space))
    [is_active] = column_layout(space).activity(torch.from_numpy(space.encode(one))[None]).tolist()
    switched_off = [name for name, active in zip(space.names, is_active, strict=True) if not active]
    assert space.key({**one, **{name: other[name] for name in switched_off}}) == space.key(one)
    kept = {name: value for name, value in space.canonical(one).items() if name not in switched_off}
    assert kept == {name: one[name] for name in kept}


def test_columns_know_their_parents_and_what_they_are(estimator) -> None:
    layout = column_layout(estimator.search_space)
    names = [column.name for column in layout.columns]
    assert names == list(estimator.search_space.names)
    kind, threshold = layout.columns[names.index("exit1_kind")], layout.columns[names.index("exit1_threshold")]
    assert (kind.is_discrete, kind.is_ordered, kind.num_levels) == (True, False, 3)
    assert (kind.parent, kind.parent_levels) == (names.index("exit1_depth"), (1, 2))
    assert (threshold.is_discrete, threshold.inactive_value, threshold.lower, threshold.upper) == (False, 1.0, 0.0, 1.0)


def test_choices_with_equal_values_are_of_one_kind() -> None:
    space = SearchSpace(
        (
            ChoiceParameter("first", ("conv", "pool"), is_ordered=False),
            ChoiceParameter("second", ("conv", "pool"), is_ordered=False),
            ChoiceParameter("third", ("conv", "pool")),
            ChoiceParameter("fourth", ("conv", "skip"), is_ordered=False),
            ContinuousParameter("share"),
        )
    )
    kinds = [column.kind for column in column_layout(space).columns]
    assert kinds[0] == kinds[1]
    assert len(set(kinds)) == 4
    assert kinds[4] == ""


def test_costs_keep_their_scale_and_other_metrics_have_a_direction() -> None:
    assert known_outcome(Objective("accuracy", True, 10.0, bounds=(0.0, 100.0))) == Outcome((0.0, 100.0), 1.0)
    assert known_outcome(Objective("error", False, 90.0, bounds=(0.0, 100.0))) == Outcome((0.0, 100.0), -1.0)
    assert known_outcome(Objective("average_macs", False, 9.0)) == Outcome()
    assert known_outcome(constraint("memory <= 4")) == Outcome(None, -1.0)
    assert known_outcome(constraint("slack >= 0")) == Outcome(None, 1.0)
