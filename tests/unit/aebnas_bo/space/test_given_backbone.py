import json
from pathlib import Path

import numpy as np
import pytest
import torch

from aebnas_bo.config.loading import dump_config, load_config, parse_config
from aebnas_bo.config.schema import Config
from aebnas_bo.errors import ConfigError, SearchSpaceError
from aebnas_bo.estimation.exit_prices import exit_macs
from aebnas_bo.space.given_backbone import BackbonePoint, GivenBackbone
from aebnas_bo.space.macs import exit_costs
from aebnas_bo.space.network_space import NetworkSpace
from aebnas_bo.space.plain_points import first_points
from aebnas_bo.space.remarks import remarks
from tests.given_networks import MAPS_AND_TOKENS, declared_space

BACKBONE = {"source": "torchvision", "name": "resnet18"}


def config_of(*settings: str, **space: object) -> Config:
    return load_config(None, [f"space={json.dumps({'backbone': BACKBONE, **space})}", *settings])


def test_pieces_cost_what_lies_between_the_points() -> None:
    assert MAPS_AND_TOKENS.piece_macs == (10_000, 20_000, 30_000, 40_000)


def test_costs_are_those_of_the_pieces_and_of_passed_branches() -> None:
    space = declared_space()
    point = {one.name: 1.0 for one in space.search_space.parameters if not hasattr(one, "values")}
    point |= {one.name: one.values[0] for one in space.search_space.parameters if hasattr(one, "values")}
    linear = space.architecture({**point, "exit1_depth": 1, "exit3_depth": 1, "exit3_pooling": "attention"})
    # 4 channels x 3 classes; 2 x 5 tokens x 8 features, then 8 features x 3 classes
    assert exit_costs(linear, space.skeleton).cumulative == (10_000 + 12, 60_000 + 12 + 80 + 24, 100_000 + 12 + 80 + 24)


def test_known_costs_of_encoded_points_are_those_of_their_networks() -> None:
    space, generator = declared_space(), np.random.default_rng(0)
    points = [space.search_space.sample(generator) for _ in range(30)]
    rows = torch.from_numpy(np.stack([space.search_space.encode(point) for point in points]))
    known = exit_macs(space)(rows)
    for point, costs in zip(points, known.tolist(), strict=True):
        architecture = space.architecture(point)
        found = exit_costs(architecture, space.skeleton).cumulative
        assert costs[-1] == pytest.approx(found[-1] / 1e6)
        for position, macs in zip(architecture.active_exits, found, strict=False):
            assert costs[position] == pytest.approx(macs / 1e6)


def test_first_points_are_the_backbone_and_linear_exits() -> None:
    space = declared_space()
    original, linear = (space.architecture(point) for point in first_points(space, 18))
    assert original.active_exits == ()
    assert linear.active_exits == (0, 1, 2)
    assert all(branch is not None and branch.layers == () for branch in linear.exits)


def test_proposed_exits_spread_over_the_cost_and_stay_cheap() -> None:
    many = GivenBackbone(
        "module", "m:f", in_channels=3, num_classes=3, resolution=8, macs=10_000_000,
        points=tuple(BackbonePoint(f"p{n}", "map", (256, 4, 4), (n + 1) * 500_000) for n in range(19)),
    )  # fmt: skip
    space = declared_space(many)
    assert [stage + 1 for stage in space.skeleton.exit_stages] == [1, 5, 8, 12, 15, 19]
    for exit_ in space.declaration.exits:
        # a dense 3x3 layer of 256 channels on 2x2 pixels takes 2.4 M, more than a fifth
        assert exit_.layers[0].kinds == ("depthwise_separable",)
    assert not [one for one in remarks(space) if "never" in one]


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"stages": [{}]}, "space.stages: has no meaning with a given backbone"),
        ({"head_channels": 8}, "space.head_channels: has no meaning with a given backbone"),
        ({"resolutions": [8, 16]}, "space.resolutions: a given backbone reads images of one size"),
        ({"thresholds": "tuned"}, "space.thresholds: is applied to exits, and none are listed"),
        ({"preset": "tiny"}, "space: expected either a preset or a backbone"),
        ({"backbone": {**BACKBONE, "mean": [0.5]}}, "space.backbone.mean: and std belong together"),
        ({"backbone": {**BACKBONE, "source": "hub"}}, "space.backbone.source: "),
    ],
)
def test_settings_that_do_not_go_with_a_backbone_are_named(changes: dict[str, object], problem: str) -> None:
    with pytest.raises(ConfigError) as error:
        config_of(**changes)
    assert any(one.startswith(problem) for one in error.value.problems), error.value.problems


@pytest.mark.parametrize(
    ("exit_", "problem"),
    [
        ({"after_stage": 4, "depths": [0, 1]}, "exits.0.after_stage: must be at most 3"),
        ({"after_stage": 3, "depths": [0, 1]}, "exits.0.poolings: is needed behind tokens"),
        ({"after_stage": 1, "depths": [0, 1], "poolings": ["mean"]}, "exits.0.poolings: has no meaning behind maps"),
    ],
)
def test_exits_must_suit_the_points(exit_: dict[str, object], problem: str) -> None:
    with pytest.raises(ConfigError, match=problem):
        declared_space(exits=[exit_])


def test_poolings_need_a_backbone() -> None:
    with pytest.raises(ConfigError, match=r"exits.0.poolings: tokens are pooled behind points of a given backbone"):
        load_config(None, ["space=tiny", 'space.exits.0.poolings=["mean"]'])


def test_the_supernet_of_a_backbone_is_no_teacher() -> None:
    with pytest.raises(ConfigError, match=r"final_training\.teacher"):
        config_of("final_training.teacher={source: supernet}")


def test_points_must_be_found_before_a_space_is_used() -> None:
    with pytest.raises(SearchSpaceError, match="its points are not known yet"):
        NetworkSpace(config_of().space, 3, 10)


def test_a_found_backbone_is_stored_with_the_configuration() -> None:
    stored = config_of().model_copy(update={"space": declared_space().declaration})
    assert parse_config(dump_config(stored), "text").space == stored.space


def test_other_spaces_are_written_as_before() -> None:
    text = dump_config(load_config(None, ["space=tiny"]))
    assert "backbone:" not in text
    assert "poolings" not in text


def test_weights_are_relative_to_the_file_that_names_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "spaces").mkdir()
    text = "backbone: {source: torchvision, name: resnet18, weights: w.safetensors}\n"
    (tmp_path / "spaces" / "mine.yaml").write_text(text)
    (tmp_path / "run.yaml").write_text("space: spaces/mine.yaml\n")
    (tmp_path / "whole.yaml").write_text(f"space:\n  {text}")
    for file, weights in (("run.yaml", "spaces/w.safetensors"), ("whole.yaml", "w.safetensors")):
        backbone = load_config(tmp_path / file).space.backbone
        assert backbone is not None
        assert backbone.weights == str(tmp_path / weights)
    option = load_config(tmp_path / "run.yaml", ["space.backbone.weights=other.safetensors"]).space.backbone
    assert option is not None
    assert option.weights == str(tmp_path / "other.safetensors")
