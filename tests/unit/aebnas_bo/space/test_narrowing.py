import numpy as np
import pytest

from aebnas_bo.config.loading import load_config
from aebnas_bo.errors import ConfigError, SearchSpaceError
from aebnas_bo.space.narrowing import unfold
from aebnas_bo.space.network_space import NetworkSpace


def space(*settings: str) -> NetworkSpace:
    return NetworkSpace(load_config(None, settings).space, 1, 10)


def test_a_fixed_branch_leaves_its_presence_to_the_search() -> None:
    one = space("space.branch=[{kind: depthwise_separable, kernel: 5, pool: true}, {kind: dense, expansion: 2}]",
                "space.resolutions=[16]")  # fmt: skip
    exits = one.declaration.exits
    assert [exit_.depths for exit_ in exits] == [(0, 3), (0, 3)]
    assert [layer.kinds for layer in exits[0].layers] == [("depthwise_separable",), ("dense",)]
    assert exits[0].layers[0].kernels == (5,)
    assert [name for name in one.search_space.names if name.startswith("exit1")] == ["exit1_depth", "exit1_threshold"]


def test_kinds_of_branches_can_be_fewer() -> None:
    names = space("space.branch_kinds=[dense]").search_space.names
    assert "exit1_layer1_kind" not in names
    assert "exit1_layer1_expansion" in names


def test_thresholds_of_few_values_are_choices() -> None:
    one = space("space.thresholds=[0.1, 0.2]")
    assert one.search_space["exit1_threshold"].values == (0.1, 0.2)
    point = {**one.search_space.sample(np.random.default_rng(0)), "exit1_depth": 1, "exit2_depth": 1}
    assert set(one.thresholds({**point, "exit1_threshold": 0.2, "exit2_threshold": 0.1})) == {0.2, 0.1}
    assert not one.has_free_thresholds
    assert not one.tunes_thresholds


def test_tuned_thresholds_are_no_parameters() -> None:
    one = space("space.thresholds=tuned")
    assert not any(name.endswith("threshold") for name in one.search_space.names)
    assert one.tunes_thresholds
    with pytest.raises(SearchSpaceError, match="tuned per network"):
        one.thresholds({p.name: p.values[0] for p in one.search_space.parameters})


def test_thresholds_are_all_tuned_or_all_searched() -> None:
    with pytest.raises(ConfigError, match=r"exits\.0\.threshold: .* give every exit threshold: null, or none"):
        space("space.exits.0.threshold=null")


def test_searched_is_as_declared() -> None:
    assert load_config(None, ["space.thresholds=searched"]) == load_config(None)


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("space.branch=dense", "space.branch: expected a list of layers"),
        ("space.branch=[{kernels: 3}]", "space.branch: no such setting kernels; there is kind, kernel"),
        ("space.branch=[{kind: round}]", "space.exits.0.layers.0.kinds.0"),
        ("space.branch_kinds=dense", "space.branch_kinds: expected a list"),
        ("space.thresholds=some", "space.thresholds: must be searched, tuned or a list"),
        ("space.thresholds=[0.2, 0.1]", "threshold_values: must be ascending"),
        ("space.thresholds=[0.2, 1.1]", "less than or equal to 1"),
        ("space.branch_kinds=[round]", "no layer may be ['round']; the space declares ['dense'"),
    ],
)
def test_mistakes_are_named(setting: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_config(None, [setting])
    assert message in "\n".join(caught.value.problems)


def test_a_declaration_without_exits_is_left_alone() -> None:
    tree: dict[str, object] = {"exits": [], "thresholds": "tuned"}
    assert unfold(tree) == []
    assert tree == {"exits": []}


def test_kinds_that_are_not_declared_are_not_added() -> None:
    with pytest.raises(ConfigError, match="no layer may be"):
        space("space.branch=[{kind: dense}]", "space.branch_kinds=[inverted_residual]")


def test_nonsense_is_refused_also_without_exits() -> None:
    with pytest.raises(ConfigError, match="must be searched, tuned"):
        space("space.thresholds=foo", "space.exits=[]")


def test_exits_do_not_share_their_values() -> None:
    one = load_config(None, ["space.thresholds=[0.1, 0.2]", "space.exits.0.threshold_values.0=0.05"]).space
    assert [exit_.threshold_values for exit_ in one.exits] == [(0.05, 0.2), (0.1, 0.2)]


def test_values_lie_within_the_range() -> None:
    with pytest.raises(ConfigError, match="must lie within threshold"):
        space("space.exits.0.threshold=[0.5, 0.9]", "space.exits.0.threshold_values=[0.1]")
