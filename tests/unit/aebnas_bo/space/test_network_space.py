import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from aebnas_bo.config.loading import load_config
from aebnas_bo.config.preset_files import read_preset
from aebnas_bo.errors import ConfigError
from aebnas_bo.space.architecture import Block, Stage
from aebnas_bo.space.declaration import ExitChoices, NetworkSpaceDeclaration, StageChoices
from aebnas_bo.space.network_space import NetworkSpace
from aebnas_bo.space.presets import PRESETS
from tests.declarations import network_spaces, similar_points_of


def make_space(preset: str = "tiny") -> NetworkSpace:
    return NetworkSpace(load_config(None, [f"space.preset={preset}"]).space, 1, 10)


def test_aebnas_preset_has_the_papers_genes() -> None:
    # 45 backbone + 1 resolution + 4 thresholds + 32 branch genes = 82, and 4 depths in place of magic values
    assert len(make_space("aebnas").search_space.names) == 86


@pytest.mark.parametrize(("preset", "below"), [("cifar", 0.05e6), ("cifar32", 0.06e6)])
def test_presets_for_cifar_span_their_range(preset: str, below: float) -> None:
    space = NetworkSpace(load_config(None, [f"space.preset={preset}"]).space, 3, 10)
    smallest, largest = space.backbone_macs
    assert smallest < below
    assert 15e6 < largest < 30e6


@pytest.mark.parametrize("preset", PRESETS)
def test_architecture_and_point_agree(preset: str) -> None:
    space = make_space(preset)
    generator = np.random.default_rng(1)
    for _ in range(20):
        point = space.search_space.sample(generator)
        architecture = space.architecture(point)
        for number, stage in enumerate(architecture.stages, start=1):
            choices = space.declaration.stages[number - 1]
            assert len(stage.blocks) == point.get(f"stage{number}_depth", choices.depths[0])
        for number, branch in enumerate(architecture.exits, start=1):
            depth = point[f"exit{number}_depth"]
            assert (branch is None) == (depth == 0)
            assert branch is None or len(branch.layers) == depth - 1
        assert len(space.thresholds(point)) == len(architecture.active_exits)


def test_equal_networks_have_equal_keys_whatever_is_switched_off() -> None:
    space = make_space()
    point = {**space.search_space.sample(np.random.default_rng(0)), "exit1_depth": 0}
    one = space.architecture({**point, "exit1_threshold": 0.1, "exit1_layer1_expansion": 1})
    other = space.architecture({**point, "exit1_threshold": 0.9, "exit1_layer1_expansion": 2})
    assert one == other
    assert one.key == other.key


@pytest.mark.slow
@given(st.data())
def test_keys_of_networks_are_equal_exactly_where_the_networks_are(data: st.DataObject) -> None:
    space = data.draw(network_spaces())
    one, other = data.draw(similar_points_of(space.search_space))
    networks = space.architecture(one), space.architecture(other)
    assert (networks[0].key == networks[1].key) == (networks[0] == networks[1])
    if space.search_space.key(one) == space.search_space.key(other):
        assert networks[0] == networks[1]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ("space.stages.0.kernels=[2,3]", "must be odd"),
        ("space.stages.0.widths=[8,8]", "twice"),
        ("space.stages.0.widths=[16,8]", "ascending"),
        ("space.exits.0.depths=[0,1,2,3]", "needs 2 entries"),
        ("space.exits.0.threshold=[0.9,0.1]", "0 <= low < high <= 1"),
        ("space.exits.1.after_stage=3", "at most 2"),
        ("space.exits.1.after_stage=1", "space.exits.1.after_stage: must be above 1"),
        ("space.stages.0.stride=3", "space.stages.0.stride"),
        ("space.preset=huge", "space.preset"),
        ("space.squeeze_excitation=[2,4]", "counts stages from 1, so that it is at most 3"),
    ],
)
def test_bad_declarations_are_refused(settings: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        load_config(None, [settings])


def test_declarations_are_frozen() -> None:
    stage = StageChoices(widths=(8,), depths=(1,), kernels=(3,), expansions=(1,), stride=1)
    with pytest.raises(ValidationError):
        stage.stride = 2  # type: ignore[misc]
    assert ExitChoices(after_stage=1, depths=(0, 1)).layers == ()


def test_unknown_preset_is_a_key_error() -> None:
    with pytest.raises(KeyError):
        read_preset("huge")


EVERY_KIND = NetworkSpaceDeclaration(
    resolutions=(8,),
    stem_channels=4,
    stem_stride=1,
    head_channels=0,
    branch_stride=1,
    activation="relu",
    stages=(
        StageChoices(widths=(4,), depths=(1,), kernels=(3,), expansions=(1,), stride=1),
        StageChoices(
            widths=(8, 12),
            depths=(0, 1),
            kernels=(3,),
            expansions=(2, 3),
            stride=2,
            kinds=("depthwise_separable", "inverted_residual", "dense"),
        ),
    ),
    exits=(),
)


def test_expansion_matters_in_inverted_residuals_alone() -> None:
    space = NetworkSpace(EVERY_KIND, 1, 2)
    point = {"stage2_width": 8, "stage2_depth": 1, "stage2_block1_kind": "dense", "stage2_block1_expansion": 3}
    assert space.search_space.canonical(point)["stage2_block1_expansion"] == 2
    assert space.architecture(point).stages[1].blocks == (Block(3, 1, "dense"),)
    assert space.architecture({**point, "stage2_block1_kind": "inverted_residual"}).stages[1].blocks == (Block(3, 3),)


def test_expansion_matters_in_every_kind_that_expands() -> None:
    stage = EVERY_KIND.stages[1].model_copy(update={"depths": (1,)})
    for kinds, when in (
        (("inverted_residual", "convnext"), None),
        (("dense", "inverted_residual", "convnext"), ("inverted_residual", "convnext")),
    ):
        stages = (EVERY_KIND.stages[0], stage.model_copy(update={"kinds": kinds}))
        space = NetworkSpace(EVERY_KIND.model_copy(update={"stages": stages}), 1, 2)
        condition = space.search_space["stage2_block1_expansion"].active_when
        assert (condition and condition.values) == when
        point = {"stage2_width": 8, "stage2_block1_kind": "convnext", "stage2_block1_expansion": 3}
        assert space.architecture(point).stages[1].blocks == (Block(3, 3, "convnext"),)


def test_absent_last_stage_is_one_network() -> None:
    space = NetworkSpace(EVERY_KIND, 1, 2)
    point = {"stage2_width": 12, "stage2_depth": 0, "stage2_block1_kind": "dense", "stage2_block1_expansion": 3}
    assert space.search_space.num_discrete == 1 + 2 * (1 + 2 + 1)
    assert space.search_space.canonical(point) == {
        "stage2_depth": 0, "stage2_width": 8, "stage2_block1_kind": "depthwise_separable", "stage2_block1_expansion": 2
    }  # fmt: skip
    assert space.architecture(point).stages[1] == Stage(0, ())


def test_extreme_backbones_are_of_the_kinds_that_cost_most_and_least() -> None:
    space = NetworkSpace(EVERY_KIND, 1, 2)
    # 4 x 12 x 9 MACs at 16 pixels of a dense block; 3 x 4 x 4 at 64 and 3 x 4 x (9 + 12) at 16 of an inverted residual
    assert space.largest_without_exits.stages[1] == Stage(12, (Block(3, 3),))


def test_only_the_last_stage_may_be_absent() -> None:
    settings = ["space.preset=tiny", "space.stages.0.depths=[0,1]"]
    with pytest.raises(ConfigError, match=r"space\.stages\.0\.depths: only the last stage may have depth 0"):
        load_config(None, settings)
