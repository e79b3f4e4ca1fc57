import numpy as np
import torch

from aebnas_bo.search.parameter_columns import column_layout


def test_layout_agrees_with_the_spaces_encoding(estimator) -> None:
    space, layout = estimator.search_space, column_layout(estimator.search_space)
    rows = torch.stack(
        [torch.from_numpy(space.encode(space.sample(np.random.default_rng(seed)))) for seed in range(50)]
    )
    assert torch.equal(layout.canonical(rows), rows)


def test_columns_know_their_parents_and_what_they_are(estimator) -> None:
    layout = column_layout(estimator.search_space)
    names = [column.name for column in layout.columns]
    assert names == list(estimator.search_space.names)
    kind, threshold = layout.columns[names.index("exit1_kind")], layout.columns[names.index("exit1_threshold")]
    assert (kind.is_discrete, kind.is_ordered, kind.num_levels) == (True, False, 3)
    assert (kind.parent, kind.parent_levels) == (names.index("exit1_depth"), (1, 2))
    assert (threshold.is_discrete, threshold.inactive_value, threshold.lower, threshold.upper) == (False, 1.0, 0.0, 1.0)
