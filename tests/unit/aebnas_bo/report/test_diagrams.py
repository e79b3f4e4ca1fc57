from dataclasses import replace
from xml.etree import ElementTree

import numpy as np
import pytest

from aebnas_bo.config.loading import load_config
from aebnas_bo.report.diagrams import network_diagram
from aebnas_bo.report.networks import ShownNetwork, show_network
from aebnas_bo.report.number_text import macs_text, percent_text
from aebnas_bo.search.trial import Observation
from aebnas_bo.space.network_space import NetworkSpace, threshold_name
from tests.made_trials import completed

PRESETS = ["tiny", "cifar", "cifar32", "aebnas"]


def networks_of(*settings: str) -> list[ShownNetwork]:
    """Random networks; of the images that reach an exit a third leave there."""
    space = NetworkSpace(load_config(None, settings).space, 3, 10)
    generator, found = np.random.default_rng(0), []
    for number in range(10):
        point = space.search_space.sample(generator)
        architecture, left, rates = space.architecture(point), 1.0, {}
        for position in range(len(architecture.exits)):
            rate = left / 3 if position in architecture.active_exits else 0.0
            rates[f"exit{position + 1}"], left = rate, left - rate
        rates["final"] = left
        named = zip(map(threshold_name, architecture.active_exits), space.thresholds(point), strict=True)
        observed = Observation(completed(number, "abc", point, {}, exit_rates=rates, thresholds=dict(named)))
        found.append(show_network("knee", observed, space, measured=None))
    return found


@pytest.mark.parametrize("settings", [*(f"space.preset={preset}" for preset in PRESETS), "space.exits=[]"])
def test_every_part_has_its_box_and_its_macs(settings: str) -> None:
    for network in networks_of(settings):
        root = ElementTree.fromstring(str(network_diagram(network)))
        texts = [element.text or "" for element in root if element.tag == "text"]
        costs = network.costs
        stages = [macs for macs, blocks in zip(costs.stages, network.backbone.stages, strict=True) if blocks]
        wanted = [costs.stem, *stages, *costs.branches, costs.head]
        found = [element.text or "" for element in root if element.get("class") == "macs"]
        assert sorted(found) == sorted(macs_text(macs) for macs in wanted)
        assert sum(wanted) == costs.cumulative[-1]
        for output in network.outputs:
            assert output.name in texts
            if output.threshold is not None:
                assert any(f"confidence ≥ {output.threshold:.3f}" in text for text in texts)


def test_blocks_name_their_kind_and_how_far_they_expand() -> None:
    kinds = [f"space.stages.{number}.kinds=[convnext]" for number in range(3)]
    only_three = [f"space.stages.{number}.expansions=[3]" for number in range(3)]
    assert all("ConvNeXt 3×3 ·3" in str(network_diagram(network)) for network in networks_of(*kinds, *only_three))


def test_blocks_say_that_they_have_squeeze_and_excitation() -> None:
    diagrams = [str(network_diagram(network)) for network in networks_of("space.squeeze_excitation=[2]")]
    assert all(" SE" in diagram for diagram in diagrams)
    assert not any(" SE" in str(network_diagram(network)) for network in networks_of("space.preset=tiny"))


@pytest.mark.parametrize("preset", PRESETS)
def test_boxes_do_not_overlap_and_stay_within_the_picture(preset: str) -> None:
    for network in networks_of(f"space.preset={preset}"):
        root = ElementTree.fromstring(str(network_diagram(network)))
        _, _, width, height = map(float, root.get("viewBox", "").split())
        bottom = 0.0
        for box in (one for one in root if "box" in one.get("class", "").split()):
            top, size = float(box.get("y", 0)), float(box.get("height", 0))
            assert top >= bottom
            bottom = top + size
            assert float(box.get("x", 0)) + float(box.get("width", 0)) <= width
        assert bottom <= height
        thickness = [float(line.get("stroke-width", 0)) for line in root if line.get("class") == "trunk"]
        assert thickness == sorted(thickness, reverse=True)  # images leave, none come back
        assert (thickness[0] > thickness[-1]) == (len(network.outputs) > 1)
        longest = max(len(element.text or "") for element in root if element.get("class") == "")
        assert longest * 6.7 < width - 94  # at 13 pixels a letter is some 6.5 wide


def test_what_lies_behind_the_end_of_a_network_is_not_drawn() -> None:
    space = NetworkSpace(load_config(None, ["space.thresholds=tuned"]).space, 3, 10)
    point = space.search_space.canonical(
        {**{p.name: p.inactive_value for p in space.search_space.parameters}, "exit1_depth": 1, "exit2_depth": 1}
    )
    rates, thresholds = {"exit1": 0.4, "exit2": 0.6, "final": 0.0}, {"exit1_threshold": 0.5, "exit2_threshold": 0.0}
    observed = Observation(completed(0, "abc", point, {}, exit_rates=rates, thresholds=thresholds))
    network = show_network("knee", observed, space, measured=None)
    root = ElementTree.fromstring(str(network_diagram(network)))
    costs, stages = network.costs, network.costs.stages[: space.skeleton.exit_stages[1] + 1]
    assert len(stages) < len(costs.stages)
    found = [element.text or "" for element in root if element.get("class") == "macs"]
    assert sorted(found) == sorted(macs_text(macs) for macs in (costs.stem, *stages, *costs.branches))
    texts = [element.text or "" for element in root if element.tag == "text"]
    assert "Final classifier" not in texts
    assert any(f"{percent_text(0.6)} of the images leave here" in text for text in texts)
    *_, arm = (line for line in root if line.get("class") == "arm")
    *_, box = (one for one in root if "box" in (one.get("class") or "").split())
    assert arm.get("x2") == box.get("x")


def test_names_are_escaped() -> None:
    network = networks_of()[0]
    outputs = (*network.outputs[:-1], replace(network.outputs[-1], name="<script>"))
    drawn = str(network_diagram(replace(network, outputs=outputs)))
    assert "&lt;script&gt;" in drawn
    assert "<script" not in drawn
