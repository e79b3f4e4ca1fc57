"""Networks of presets, compared with plain networks of equal MACs."""

import math
import sys
from pathlib import Path

import pytest

from aebnas_bo.config.loading import load_config
from aebnas_bo.errors import UsageError
from aebnas_bo.space.macs import exit_costs
from aebnas_bo.space.network_space import NetworkSpace
from benchmarks import preset_networks
from benchmarks.preset_networks import NEAR, member


def space_of(*settings: str) -> NetworkSpace:
    return NetworkSpace(load_config(None, settings).space, 3, 10)


@pytest.mark.parametrize(
    ("macs", "kind", "expansion"), [(0.3e6, "depthwise_separable", 1), (6e6, "inverted_residual", 2)]
)
def test_blocks_are_replaced_only_where_plain_networks_are_too_small(macs: float, kind: str, expansion: int) -> None:
    space = space_of("space=cifar")
    network = member(space, macs)
    assert network.active_exits == ()
    assert {(one.kind, one.expansion) for stage in network.stages for one in stage.blocks} == {(kind, expansion)}
    assert abs(math.log(exit_costs(network, space.skeleton).cumulative[-1] / macs)) < math.log(NEAR)


def test_the_nearest_network_is_taken_where_none_is_near() -> None:
    space = space_of("space=cifar")
    assert {one.kind for stage in member(space, 1e3).stages for one in stage.blocks} == {"depthwise_separable"}
    assert {one.expansion for stage in member(space, 1e9).stages for one in stage.blocks} == {3}


def test_a_space_without_plain_networks_has_its_smallest_ones() -> None:
    network = member(space_of("space=aebnas"), 2.3e6)
    assert network.resolution == 32
    assert [[(block.kernel, block.expansion) for block in stage.blocks] for stage in network.stages] == [
        [(3, 3)] * 2
    ] * 5
    with pytest.raises(UsageError, match="depthwise_separable or one inverted residual among the blocks"):
        member(space_of("space=tiny", "space.stages.0.kinds=[dense]"), 1e5)


@pytest.mark.slow
def test_what_stands_in_the_file_is_not_run_again(tmp_path: Path, monkeypatch, capsys) -> None:
    config, out = tmp_path / "digits.yaml", tmp_path / "rows.csv"
    config.write_text("name: digits8\ndata:\n  max_train_images: 200\n")
    command = ["prog", str(config), "--spaces", "tiny", "--macs", "0.02", "--seconds", "0.1", "--out", str(out)]
    monkeypatch.setattr(sys, "argv", command)
    preset_networks.main()
    first, rows = capsys.readouterr().out, out.read_text()
    assert len(rows.splitlines()) == 3
    assert "| 0.02 | tiny | 1 |" in first
    monkeypatch.setattr(preset_networks, "trained", None)
    preset_networks.main()
    assert capsys.readouterr().out == first
    assert out.read_text() == rows
    monkeypatch.setattr(sys, "argv", [*command, "--set", "space.activation=hardswish"])
    with pytest.raises(TypeError):  # another network is trained
        preset_networks.main()
